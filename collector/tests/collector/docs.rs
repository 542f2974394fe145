//! The documentation is true: every configuration in it loads, every command of the collector in it runs, every link
//! leads somewhere.
//!
//! A block of `yaml` is a configuration or a part of one, under which a pipeline of `nop` is put. A comment right above
//! it says where that is not so:
//!
//! - `<!-- over: examples/overlays/base.yaml -->`: it is merged over this file;
//! - `<!-- not a configuration: Prometheus's rules -->`: what it is instead.
//!
//! In a block of `sh` the lines that begin with `phoenix-collector` are run by a shell, in a folder that has what the
//! repository has and `collector.yaml`, `old.yaml` and `new.yaml`, beside a collector with the `admin` extension. One without a
//! subcommand is started, and stopped once it is ready. `# exit code 2` says that a line ends with something else than 0.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::binary::{collector, free_port, repository, shell};

/// Sections of a configuration.
const SECTIONS: [&str; 6] = ["receivers", "processors", "exporters", "connectors", "extensions", "service"];
/// What a part of a configuration is put over.
const COMPLETION: &str = "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";

/// A file of the documentation.
struct Page {
    /// From the root of the repository.
    path: PathBuf,
    blocks: Vec<Block>,
    /// Line and target.
    links: Vec<(usize, String)>,
    anchors: HashSet<String>,
}

/// A fenced block.
struct Block {
    line: usize,
    language: String,
    /// The comment right above it.
    note: String,
    text: String,
}

impl Page {
    fn read(root: &Path, path: PathBuf) -> Page {
        let text = std::fs::read_to_string(root.join(&path)).expect("UTF-8");
        let mut page = Page { path, blocks: Vec::new(), links: Vec::new(), anchors: HashSet::new() };
        let mut seen: HashMap<String, usize> = HashMap::new();
        let (mut note, mut lines) = (String::new(), text.lines().enumerate());
        while let Some((index, line)) = lines.next() {
            let line = line.trim_start();
            if let Some(language) = line.strip_prefix("```") {
                let body = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
                let text = body.fold(String::new(), |text, line| text + line + "\n");
                let language = language.trim().to_owned();
                page.blocks.push(Block { line: index + 1, language, note: std::mem::take(&mut note), text });
                continue;
            }
            if !line.is_empty() {
                let comment = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                note = comment.unwrap_or_default().trim().to_owned();
            }
            if line.starts_with('#') {
                let anchor = anchor(line.trim_start_matches('#').trim());
                let count = seen.entry(anchor.clone()).or_default();
                page.anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
                *count += 1;
            }
            page.links.extend(links(line).into_iter().map(|target| (index + 1, target)));
        }
        page
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The name under which a heading is linked to, as code hosts make it.
fn anchor(heading: &str) -> String {
    // Of a link in it the text counts.
    let mut text = String::new();
    for (index, part) in heading.split("](").enumerate() {
        text += if index == 0 { part } else { part.split_once(')').map_or(part, |(_, rest)| rest) };
    }
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The targets of the links of a line, without those in code.
fn links(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// Every Markdown file of the project but those of test data.
fn pages() -> Vec<Page> {
    fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            let path = folder.join(&name);
            let skipped = ["target", "dist", "tests", "fuzz", "node_modules"];
            if name.starts_with('.') || skipped.contains(&name.as_str()) {
                continue;
            }
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() => walk(root, &path, paths),
                kind if kind.is_file() && name.ends_with(".md") => paths.push(path),
                _ => {}
            }
        }
    }
    let root = repository();
    let mut paths = Vec::new();
    walk(&root, Path::new(""), &mut paths);
    paths.sort();
    paths.into_iter().map(|path| Page::read(&root, path)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = repository();
    let pages: BTreeMap<PathBuf, Page> =
        pages().into_iter().map(|page| (root.join(&page.path), page)).collect();
    let mut wrong = String::new();
    for (path, page) in &pages {
        for (line, target) in &page.links {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            let Ok(linked) = linked.canonicalize() else {
                let _ = writeln!(wrong, "{}: there is no {target}", page.at(*line));
                continue;
            };
            let known = pages.get(&linked).is_none_or(|page| page.anchors.contains(anchor));
            if !anchor.is_empty() && !known {
                let _ = writeln!(wrong, "{}: {file} has no heading for #{anchor}", page.at(*line));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_configuration_in_the_documentation_loads() {
    let folder = tempfile::tempdir().expect("made");
    let completion = folder.path().join("completion.yaml");
    std::fs::write(&completion, COMPLETION).expect("written");
    let (mut wrong, mut count) = (String::new(), 0);
    for page in pages() {
        for block in page.blocks.iter().filter(|block| ["yaml", "yml"].contains(&block.language.as_str())) {
            let at = page.at(block.line);
            if block.note.starts_with("not a configuration: ") {
                continue;
            }
            let keys = block.text.lines().filter(|line| line.starts_with(char::is_alphabetic));
            let others: Vec<_> = keys
                .map(|line| line.split(':').next().unwrap_or_default())
                .filter(|key| !SECTIONS.contains(key))
                .collect();
            if !others.is_empty() {
                let _ = writeln!(
                    wrong,
                    "{at}: {others:?} are no sections; say above what it is: <!-- not a configuration: … -->"
                );
                continue;
            }
            let name = at.replace(['/', ':'], "-") + ".yaml";
            let path = folder.path().join(name);
            std::fs::write(&path, &block.text).expect("written");
            let mut command = collector().arg("validate");
            if let Some(base) = block.note.strip_prefix("over: ") {
                command = command.arg("--config").arg(repository().join(base));
            } else if !(block.text.contains("\nservice:") && block.text.contains("pipelines:")) {
                command = command.arg("--config").arg(&completion);
            }
            let finished = command.arg("--config").arg(&path).finish();
            count += 1;
            if finished.code != 0 {
                let _ = writeln!(wrong, "{at}: {}", finished.stderr);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 10, "only {count} configurations were found");
}

/// A folder in which commands of the documentation run.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Sandbox {
        let folder = tempfile::tempdir().expect("made");
        for name in ["builder", "configs", "deployments", "docs", "examples"] {
            let original = repository().join(name);
            if original.exists() {
                std::os::unix::fs::symlink(original, folder.path().join(name)).expect("linked");
            }
        }
        let sandbox = Sandbox(folder);
        let configuration = |port: u16, extensions: &str, size: u32| {
            format!(
                "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n\
                 processors: {{batch: {{send_batch_size: {size}}}}}\n\
                 exporters: {{debug: }}\n{extensions}\
                 service:\n  extensions: [{}]\n  telemetry: {{metrics: {{level: none}}}}\n\
                 \u{20} pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [debug]}}}}\n",
                if extensions.is_empty() { "" } else { "admin" }
            )
        };
        let port = free_port();
        let admin = format!("extensions: {{admin: {{endpoint: '{}'}}}}\n", sandbox.admin());
        sandbox.write("collector.yaml", &configuration(free_port(), "", 100));
        sandbox.write("old.yaml", &configuration(port, &admin, 100));
        sandbox.write("new.yaml", &configuration(port, &admin, 200));
        sandbox
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("written");
    }

    fn admin(&self) -> String {
        format!("unix://{}/admin.sock", self.0.path().display())
    }

    /// Runs a line; says what went wrong.
    fn run(&self, line: &str) -> Result<(), String> {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let expected = comment.split_once("exit code ").map_or(Ok(0), |(_, code)| code.trim().parse::<i32>());
        let expected = expected.map_err(|_| format!("`# {comment}` has no number"))?;
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        let is_run = words.iter().all(|word| word.starts_with("--"))
            && words.iter().any(|word| word.starts_with("--config"));
        let start = if is_run { format!("exec {command} \"$@\"") } else { command.to_owned() };
        let prepared = shell(&start).within(self.0.path()).env("PHOENIX_ADMIN", self.admin());
        let (code, output) = if is_run {
            (prepared.start().terminate(), String::new())
        } else {
            let finished = prepared.finish();
            (finished.code, finished.stdout + &finished.stderr)
        };
        if code == expected {
            Ok(())
        } else {
            Err(format!("exit code {code} instead of {expected}\n{output}"))
        }
    }
}

#[test]
fn every_command_in_the_documentation_runs() {
    let sandbox = Sandbox::new();
    let running = collector().arg("--config").arg(sandbox.0.path().join("old.yaml")).start();
    let (mut wrong, mut count) = (String::new(), 0);
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "sh") {
            let text = block.text.replace("\\\n", " ");
            for line in text.lines().map(str::trim).filter(|line| line.starts_with("phoenix-collector ")) {
                count += 1;
                if let Err(error) = sandbox.run(line) {
                    let _ = writeln!(wrong, "{}: {line}: {error}", page.at(block.line));
                }
            }
        }
    }
    assert_eq!(running.terminate(), 0);
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 10, "only {count} commands were found");
}
