//! Which text a scraper wants.

/// A form of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    /// OpenMetrics, in the old version or not; otherwise Prometheus' own text.
    pub(crate) open_metrics: Option<Version>,
    /// Whether names may have any characters, in quotes; otherwise others than letters, digits, underscores and
    /// colons become underscores.
    pub(crate) utf8: bool,
}

/// A version of OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0.0.1.
    Old,
    /// 1.0.0.
    One,
}

impl Format {
    /// What `Accept` asks for most; Prometheus' own text where it asks for nothing that there is.
    pub(crate) fn of(accept: &str, with_open_metrics: bool) -> Format {
        let mut best = (0.0, Format::default());
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut weight, mut version, mut utf8) = (1.0_f64, "", false);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match key.trim() {
                    "q" => weight = value.parse().unwrap_or(0.0),
                    "version" => version = value,
                    "escaping" => utf8 = value == "allow-utf-8",
                    _ => {}
                }
            }
            let open_metrics = match (media, version) {
                ("application/openmetrics-text", "1.0.0") if with_open_metrics => Some(Version::One),
                ("application/openmetrics-text", "" | "0.0.1") if with_open_metrics => Some(Version::Old),
                ("text/plain", "" | "0.0.4" | "1.0.0") | ("text/*" | "*/*", _) => None,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, Format { open_metrics, utf8: utf8 && version == "1.0.0" });
            }
        }
        best.1
    }

    /// Its media type.
    pub(crate) fn content_type(self) -> &'static str {
        match (self.open_metrics, self.utf8) {
            (None, false) => "text/plain; version=0.0.4; charset=utf-8",
            (None, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (Some(Version::Old), _) => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            (Some(Version::One), false) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            (Some(Version::One), true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_that_there_is_wins() {
        let open = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let one = Format { open_metrics: Some(Version::One), utf8: true };
        let old = Format { open_metrics: Some(Version::Old), utf8: false };
        let text = Format::default();
        // (Accept, whether OpenMetrics is on, what comes)
        let cases = [
            (open, true, one),
            (open, false, text),
            ("", true, text),
            ("application/json", true, text),
            ("application/openmetrics-text", true, old),
            ("application/openmetrics-text;version=1.0.0;q=0", true, text),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", true, Format { utf8: true, ..text }),
            ("application/openmetrics-text;version=0.0.1;q=0.1, text/plain;q=0.9", true, text),
        ];
        for (accept, with_open_metrics, expected) in cases {
            assert_eq!(Format::of(accept, with_open_metrics), expected, "{accept}");
        }
    }
}
