//! HTML whose texts are always escaped.

use std::fmt::{self, Write as _};

/// A text as HTML shows it.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl fmt::Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    match c {
                        '&' => self.0.write_str("&amp;")?,
                        '<' => self.0.write_str("&lt;")?,
                        '>' => self.0.write_str("&gt;")?,
                        '"' => self.0.write_str("&quot;")?,
                        '\'' => self.0.write_str("&#39;")?,
                        c => self.0.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        write!(Escape(f), "{}", self.0)
    }
}

/// A text as a part of a query.
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--dim:#777;--ok:#187a3b;--bad:#b3261e;--warn:#9a6700}
@media(prefers-color-scheme:dark){:root{--dim:#aaa;--ok:#5bd68a;--bad:#ff8a80;--warn:#f2c14e}}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem 1.5rem 3rem}
nav{display:flex;gap:1rem;flex-wrap:wrap;border-bottom:1px solid var(--line);padding-bottom:.5rem}
nav a[aria-current]{font-weight:600;text-decoration:none;color:inherit}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}th.n{text-align:right}
code{font:13px ui-monospace,monospace}.dim{color:var(--dim)}
.ok{color:var(--ok)}.bad{color:var(--bad)}.warn{color:var(--warn)}
";

const PAGES: [(&str, &str); 5] = [
    ("servicez", "Service"),
    ("pipelinez", "Pipelines"),
    ("extensionz", "Extensions"),
    ("featurez", "Feature gates"),
    ("tracez", "Traces"),
];

/// A whole page around `body`, which is HTML.
pub(crate) fn page(current: &str, command: &str, body: &str) -> String {
    let title = PAGES.iter().find(|(path, _)| *path == current).map_or("", |(_, title)| title);
    let mut nav = String::new();
    for (path, name) in PAGES {
        let mark = if path == current { " aria-current=\"page\"" } else { "" };
        let _ = write!(nav, "<a href=\"/debug/{path}\"{mark}>{name}</a>");
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title} – {command}</title><style>{STYLE}</style></head><body><nav>{nav}</nav><main><h1>{title}</h1>{body}</main></body></html>\n",
        command = Text(command),
    )
}

/// A table with a head of plain words; the cells are HTML.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<table><thead><tr>");
    for name in head {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", numeric(name), Text(name.trim_start_matches('#')));
    }
    out += "</tr></thead><tbody>";
    for row in rows {
        out += "<tr>";
        for (name, cell) in head.iter().zip(row) {
            let _ = write!(out, "<td{}>{cell}</td>", numeric(name));
        }
        out += "</tr>";
    }
    out + "</tbody></table>"
}

/// A column whose name begins with `#` holds numbers.
fn numeric(name: &str) -> &'static str {
    if name.starts_with('#') { " class=\"n\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let evil = "<script>alert('x')</script>&\"";
        assert_eq!(Text(evil).to_string(), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;");
        assert_eq!(Query("traces/a b\"").to_string(), "traces%2Fa%20b%22");
    }
}
