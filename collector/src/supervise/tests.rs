use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

/// A collector of a few lines: `invalid` in a file is a mistake, `crash` ends it, and it says what it runs.
const FAKE: &str = r#"#!/bin/sh
log=$(dirname "$0")/log
if [ "$1" = validate ]; then
    shift
    for a; do
        if grep -q invalid "${a#--config=}"; then echo "a mistake in line 1" >&2; exit 1; fi
    done
    exit 0
fi
trap 'echo stopped >> "$log"; exit 0' TERM
echo "token ${PHOENIX_ENROLMENT_TOKEN-none}" >> "$log"
for a; do echo "runs $(cat "${a#--config=}")" >> "$log"; done
if grep -q crash "${1#--config=}"; then echo "cannot go on" >&2; exit 3; fi
while :; do sleep 0.05; done
"#;

struct Rig {
    folder: tempfile::TempDir,
    host: Host,
    child: Supervised,
}

impl Rig {
    fn new(config: &[&Path]) -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let program = folder.path().join("fake");
        std::fs::write(&program, FAKE).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let plan = Plan {
            folder: folder.path().join("child"),
            config: config.iter().map(|path| path.display().to_string()).collect(),
            set: Vec::new(),
            child: Child {
                health_url: None,
                metrics_url: None,
                stop_timeout: Duration::from_secs(20),
                no_validate: false,
                command: vec![program.into_os_string()],
            },
        };
        let host = Host::for_tests();
        let child = Supervised::new(plan, &host);
        Rig { folder, host, child }
    }

    async fn apply(&self, text: &str) -> Result<ApplyAnswer, ChangeError> {
        let remote = ConfigSource::Text { name: "remote.yaml".to_owned(), text: text.to_owned() };
        let request = ConfigRequest { sources: vec![remote, ConfigSource::Own], set: Vec::new() };
        self.child.apply(request, ApplyConditions::default(), Duration::ZERO).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn until_logged(&self, text: &str, times: usize) {
        for _ in 0..1500 {
            if self.log().matches(text).count() >= times {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{text:?} was not logged {times} times: {}", self.log());
    }

    /// Waits until the one child is as expected.
    async fn until(&self, is_so: impl Fn(&Status) -> bool) {
        let mut changes = self.host.health.changes();
        let seen = async {
            loop {
                let all = self.host.health.snapshot();
                assert!(all.len() < 2, "what does not run any more is forgotten: {all:?}");
                if all.first().is_some_and(|(_, status)| is_so(status)) {
                    return;
                }
                changes.changed().await.expect("the table lives");
            }
        };
        timeout(Duration::from_secs(30), seen).await.expect("in time");
    }
}

#[tokio::test]
async fn a_child_runs_what_it_is_given_and_is_started_again() {
    let rig = Rig::new(&[]);
    rig.child.start().await.expect("nothing to run is fine");
    assert!(rig.child.effective_config().since.is_some());
    let nothing = rig.child.apply(ConfigRequest::default(), ApplyConditions::default(), Duration::ZERO).await;
    assert!(matches!(nothing, Err(ChangeError::Unavailable(_))), "{nothing:?}");

    rig.apply("first: ${agent:os} ${env:X}").await.expect("applied");
    rig.until(|status| *status == Status::Ok).await;
    let expected = format!("runs first: {} ${{env:X}}", std::env::consts::OS);
    rig.until_logged(&expected, 1).await;
    assert!(rig.child.effective_config().yaml.contains(std::env::consts::OS));

    // A mistake stops nothing.
    let mistake = rig.apply("invalid").await;
    assert_eq!(mistake.err(), Some(ChangeError::Invalid("a mistake in line 1".to_owned())));
    let unknown = rig.apply("${agent:nothing}").await;
    assert!(matches!(unknown, Err(ChangeError::Invalid(_))), "{unknown:?}");
    assert!(!rig.log().contains("stopped"), "{}", rig.log());

    // One that ends is started again, and is not well.
    rig.apply("crash").await.expect("it cannot be told before");
    assert!(rig.log().contains("stopped"), "the one before was stopped: {}", rig.log());
    rig.until(|status| status.error().is_some_and(|why| why.contains("3): cannot go on"))).await;
    rig.until_logged("runs crash", 2).await;

    rig.apply("second").await.expect("applied");
    rig.until(|status| *status == Status::Ok).await;
    rig.child.restart(Duration::ZERO).expect("it can");
    rig.until_logged("runs second", 2).await;
    let stopped = rig.log().matches("stopped").count();
    rig.child.stop().await;
    assert_eq!(rig.log().matches("stopped").count(), stopped + 1);
    assert!(!rig.log().contains("token phx"), "{}", rig.log());
}

#[tokio::test]
async fn own_files_are_over_remote_ones_and_run_without_a_server() {
    let own = tempfile::NamedTempFile::new().expect("made");
    std::fs::write(own.path(), "own").expect("written");
    let rig = Rig::new(&[own.path()]);
    rig.child.start().await.expect("started");
    rig.until_logged("runs own", 1).await;
    rig.apply("remote").await.expect("applied");
    rig.until_logged("runs remote\nruns own", 1).await;
    assert!(!rig.child.effective_config().from_sources);
    rig.child.stop().await;
}

#[tokio::test]
async fn a_health_check_that_does_not_answer_counts() {
    let mut rig = Rig::new(&[]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let mut plan = rig.child.0.plan.clone();
    plan.child.health_url = Some(format!("http://{address}/"));
    rig.child = Supervised::new(plan, &rig.host);
    rig.child.start().await.expect("started");
    rig.apply("first").await.expect("applied");
    let answers = ["503 Service Unavailable", "200 OK"];
    for answer in answers {
        let (mut stream, _) = listener.accept().await.expect("asked");
        let mut head = [0; 1024];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.expect("read");
        assert!(read > 0);
        let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.expect("written");
        let is_well = answer.starts_with("200");
        rig.until(|status| (*status == Status::Ok) == is_well && *status != Status::Starting).await;
    }
    rig.child.stop().await;
}

#[tokio::test]
async fn what_a_child_shows_of_itself_is_of_the_life_that_runs() {
    let mut rig = Rig::new(&[]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let mut plan = rig.child.0.plan.clone();
    plan.child.metrics_url = Some(format!("http://{}/metrics", listener.local_addr().expect("bound")));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await;
            let text = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\na 1\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await;
        }
    });
    rig.child = Supervised::new(plan, &rig.host);
    rig.child.start().await.expect("started");
    assert_eq!(rig.child.outside_signs(), None, "nothing runs");
    let shown = async |life: u64| {
        for _ in 0..1500 {
            if let Some(signs) = rig.child.outside_signs().filter(|signs| signs.life == life) {
                return signs;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing was shown of life {life}");
    };
    rig.apply("first").await.expect("applied");
    let signs = shown(1).await;
    assert_eq!(signs.metrics.as_deref(), Some("a 1\n"));
    assert!(signs.memory > 0, "{signs:?}");
    rig.apply("second").await.expect("applied");
    shown(2).await;
    rig.child.stop().await;
    assert_eq!(rig.child.outside_signs(), None, "nothing runs any more");
}
