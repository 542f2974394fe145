//! Configurations made to hurt: each ends with a message, soon and in little memory; a collector that runs goes on.

use std::time::{Duration, Instant};

use crate::binary::{collector, free_port, shell};

/// What a message about the worst may take.
const MOST_MESSAGE_BYTES: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// The code of a debug build is large; what it maps beside that and its threads' stacks is what counts.
const LIMIT_KIB: u64 = 2 << 20;

const PIPELINE: &str = "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";

fn hostile(folder: &std::path::Path) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let own = folder.join("hostile.yaml").display().to_string();
    let laughs: String = (1..60)
        .map(|level| format!("l{level}: &l{level} [*l{0}, *l{0}, *l{0}, *l{0}]\n", level - 1))
        .collect();
    let doubled: String =
        (1..60).map(|level| format!("d{level}: &d{level} {{a: *d{0}, b: *d{0}}}\n", level - 1)).collect();
    let keys = |count: usize| (0..count).map(|key| format!("k{key}: 1\n")).collect::<String>();
    vec![
        (
            "aliases of aliases, as lists",
            format!("l0: &l0 [x, x]\n{laughs}").into(),
            "once aliases are followed",
        ),
        (
            "aliases of aliases, as maps",
            format!("d0: &d0 {{x: 1}}\n{doubled}").into(),
            "once aliases are followed",
        ),
        ("an alias of itself", b"a: &a [*a]\n".to_vec(), ""),
        ("an alias of nothing", b"a: *b\n".to_vec(), ""),
        ("lists within lists", [b"a: ".to_vec(), vec![b'['; 1 << 20]].concat(), "recursion"),
        ("maps within maps", [b"a: ".to_vec(), b"{b: ".repeat(1 << 18)].concat(), "deep"),
        (
            "indentation",
            (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>().into(),
            "deep",
        ),
        ("dashes", [b"a:\n ".to_vec(), b"- ".repeat(100_000)].concat(), "deep"),
        ("a value of 20 MB", [b"a: ".to_vec(), vec![b'x'; 20 << 20]].concat(), "16 MiB"),
        ("a key of 2 MB", [vec![b'x'; 2 << 20], b": 1\n".to_vec()].concat(), ""),
        ("two million keys", keys(2_000_000).into(), ""),
        ("bytes that are no text", b"receivers: {otlp: \xff\xfe\xc3\x28}\n".to_vec(), "UTF-8"),
        ("zeros", vec![0; 10_000], ""),
        ("UTF-16", b"\xff\xfer\0e\0c\0".to_vec(), "UTF-8"),
        ("a key twice", format!("{PIPELINE}receivers: {{}}\n").into(), "twice"),
        ("a quote without end", b"a: \"".to_vec(), ""),
        ("a tag", b"receivers: !!python/object/apply:os.system [id]\n".to_vec(), ""),
        ("a file that reads itself", format!("a: ${{file:{own}}}\n").into(), ""),
        ("itself, twice", format!("a: [${{file:{own}}}, ${{file:{own}}}]\n").into(), ""),
        ("a device without end", b"a: ${file:/dev/zero}\n".to_vec(), ""),
        ("a folder", b"a: ${file:/tmp}\n".to_vec(), ""),
        ("a variable that refers to itself", b"a: ${env:SELF}\n".to_vec(), ""),
        ("variables in a circle", b"a: ${env:ONE}\n".to_vec(), ""),
        ("variables that double", b"a: ${env:DOUBLE_40}\n".to_vec(), ""),
        ("a large variable, a thousand times", format!("a: '{}'\n", "${env:LARGE}".repeat(1_000)).into(), ""),
        (
            "references within references",
            format!("a: {}x{}\n", "${env:".repeat(10_000), "}".repeat(10_000)).into(),
            "",
        ),
        ("a reference without end", [b"a: ".to_vec(), b"${".repeat(100_000)].concat(), ""),
        (
            "numbers beyond everything",
            format!("{PIPELINE}processors: {{batch: {{send_batch_size: {}}}}}\n", "9".repeat(10_000)).into(),
            "send_batch_size",
        ),
        (
            "a duration beyond everything",
            format!("{PIPELINE}processors: {{batch: {{timeout: 99999999999999999999h}}}}\n").into(),
            "timeout",
        ),
    ]
}

fn environment(mut command: crate::binary::CommandLine) -> crate::binary::CommandLine {
    for level in 1..=40 {
        let inner = format!("${{env:DOUBLE_{}}}", level - 1);
        command = command.env(&format!("DOUBLE_{level}"), format!("{inner}{inner}"));
    }
    command
        .env("DOUBLE_0", "x")
        .env("SELF", "${env:SELF}")
        .env("ONE", "${env:TWO}")
        .env("TWO", "x${env:ONE}")
        .env("LARGE", "y".repeat(100_000))
}

#[test]
fn each_is_refused_soon_in_little_memory_and_with_few_words() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("hostile.yaml");
    let commands = [("validate", "validate "), ("start", ""), ("print-config", "print-config ")];
    for (case, text, part) in hostile(folder.path()) {
        std::fs::write(&path, &text).expect("written");
        for (name, command) in commands {
            let line = format!("ulimit -v {LIMIT_KIB}; exec phoenix-collector {command}\"$@\"");
            let begun = Instant::now();
            let finished = environment(shell(&line).arg(format!("--config={}", path.display()))).finish();
            let took = begun.elapsed();
            let said = &finished.stderr;
            let shown: String = said.chars().take(2_000).collect();
            assert_eq!(finished.code, 1, "{case}, {name}: {shown}");
            assert!(took < PATIENCE, "{case}, {name}: {took:?}");
            assert!(!said.contains("panicked"), "{case}, {name}: {shown}");
            assert!(
                !said.is_empty() && said.len() < MOST_MESSAGE_BYTES,
                "{case}, {name}: {} bytes",
                said.len()
            );
            assert!(said.contains(part), "{case}, {name}: {part:?} is not in: {shown}");
        }
    }
}

#[test]
fn a_collector_that_runs_refuses_each_and_goes_on() {
    let (folder, port) = (tempfile::tempdir().expect("made"), free_port());
    let (path, good) = (folder.path().join("hostile.yaml"), folder.path().join("good.yaml"));
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nexporters: {{nop: {{}}}}\n\
         service: {{telemetry: {{logs: {{sampling: {{enabled: false}}}}}}, pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
    );
    std::fs::write(&good, &text).expect("written");
    std::fs::copy(&good, &path).expect("copied");
    let process = environment(collector().arg(format!("--config={}", path.display()))).start();
    let mut refused = 0;
    for (case, text, _) in hostile(folder.path()) {
        let beside = folder.path().join("beside");
        std::fs::write(&beside, &text).expect("written");
        std::fs::rename(&beside, &path).expect("renamed");
        process.signal("HUP");
        refused += 1;
        process.wait_for_log_count("the running one goes on unchanged", refused);
        std::net::TcpStream::connect(("127.0.0.1", port)).expect(case);
    }
    assert!(!process.log().contains("panicked"));
    std::fs::copy(&good, &path).expect("copied");
    process.signal("HUP");
    process.wait_for_log("configuration applied");
    assert_eq!(process.terminate(), 0);
}
