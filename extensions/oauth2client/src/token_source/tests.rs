//! Against a server of the test's own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use phoenix_config::Opaque;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers each request with what `answer` says of its head, its body and its number.
async fn serve(
    answer: impl Fn(&str, &str, usize) -> (u16, String) + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    serve_with_headers(move |head, body, number| {
        let (status, json) = answer(head, body, number);
        (status, "", json)
    })
    .await
}

/// The same, with more lines of the answer's head.
async fn serve_with_headers(
    answer: impl Fn(&str, &str, usize) -> (u16, &'static str, String) + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/token", listener.local_addr().expect("bound"));
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
            let text = loop {
                let got = stream.read(&mut buffer).await.expect("read");
                read.extend_from_slice(&buffer[..got]);
                let text = String::from_utf8_lossy(&read).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.is_none_or(|length| body.len() >= length.parse().expect("a number")) || got == 0 {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let (status, lines, json) = answer(&text.0, &text.1, count.fetch_add(1, SeqCst) + 1);
            let length = json.len();
            let response = format!("HTTP/1.1 {status} x\r\n{lines}content-length: {length}\r\n\r\n{json}");
            stream.write_all(response.as_bytes()).await.expect("written");
        }
    });
    (url, requests)
}

fn source(url: &str, more: impl FnOnce(&mut OAuth2ClientConfig)) -> TokenSource {
    source_on(&Host::for_tests(), url, more)
}

fn source_on(host: &Host, url: &str, more: impl FnOnce(&mut OAuth2ClientConfig)) -> TokenSource {
    let mut config = OAuth2ClientConfig {
        client_id: "me+you".to_owned(),
        client_secret: Opaque::new("hush hush"),
        token_url: url.to_owned(),
        ..OAuth2ClientConfig::default()
    };
    more(&mut config);
    let source = TokenSource::new(config, &host.metrics, "oauth2client");
    source.start(host).expect("started");
    source
}

/// Lets time pass at once, however slow the machine is.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_is_fetched_once_and_shown_with_every_request() {
    let (url, requests) = serve(|head, body, number| {
        assert!(head.starts_with("POST /token "), "{head}");
        assert!(head.contains("authorization: Basic bWUlMkJ5b3U6aHVzaCtodXNo"), "{head}");
        assert_eq!(body, "grant_type=client_credentials&scope=a+b&audience=x%2Fy&resource=1&resource=2");
        (200, format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":3600}}"#))
    })
    .await;
    let source = source(&url, |config| {
        config.scopes = vec!["a".to_owned(), "b".to_owned()];
        config.endpoint_params =
            serde_json::from_str(r#"{"audience": "x/y", "resource": ["1", "2"]}"#).expect("params");
    });
    let calls = (0..20).map(|_| async {
        let mut headers = HeaderMap::new();
        source.authorize(&mut headers, None).await.expect("authorized");
        headers["authorization"].to_str().expect("text").to_owned()
    });
    let mut shown = Vec::new();
    let all: Vec<_> = calls.collect();
    for call in all {
        shown.push(call.await);
    }
    assert!(shown.iter().all(|header| header == "Bearer t1"), "{shown:?}");
    assert_eq!(requests.load(SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_wants_parameters_gets_them() {
    let (url, requests) = serve(|head, body, _| match head.contains("authorization: ") {
        true => (401, r#"{"error":"invalid_client"}"#.to_owned()),
        false => {
            assert!(body.ends_with("&client_id=me%2Byou&client_secret=hush+hush"), "{body}");
            (200, r#"{"access_token":"t","expires_in":600}"#.to_owned())
        }
    })
    .await;
    let source = source(&url, |_| {});
    source.token().await.expect("a token");
    assert_eq!(requests.load(SeqCst), 2);
    pass(Duration::from_secs(601)).await;
    source.token().await.expect("another token");
    assert_eq!(requests.load(SeqCst), 3, "it is known now what the server wants");
}

#[tokio::test]
async fn failures_are_told_retried_after_a_rest_and_name_no_secret() {
    // (what the server answers, part of what is told)
    for (status, body, told) in [
        (400, r#"{"error":"invalid_client","error_description":"hush"}"#, "400 (invalid_client)"),
        (500, "<html>hush</html>", "answered 500"),
        (200, "hush", "not JSON"),
        (200, r#"{"access_token":"","expires_in":"hush"}"#, "no access_token"),
        (200, r#"{"access_token":"hush\nhush"}"#, "no header can hold"),
    ] {
        // In either way of asking, six times.
        let (url, requests) = serve(move |_, _, number| match number {
            ..=12 => (status, body.to_owned()),
            _ => (200, r#"{"access_token":"t"}"#.to_owned()),
        })
        .await;
        let source = source(&url, |_| {});
        for round in 1..=6 {
            let refusal = source.token().await.err().expect("refused");
            assert!(refusal.is_retryable() && refusal.delay().is_some(), "{refusal:?}");
            assert!(refusal.message().contains(told) && !refusal.message().contains("hush"), "{refusal:?}");
            assert_eq!(requests.load(SeqCst), 2 * round, "{told}");
            if round < 6 {
                pass(LONGEST_REST).await;
            }
        }
        let resting = source.token().await.err().expect("it rests");
        assert!(resting.message().contains(told), "{resting:?}");
        assert_eq!(requests.load(SeqCst), 12, "{told}: nobody was asked again");
        pass(LONGEST_REST).await;
        source.token().await.expect("a token");
    }
}

#[tokio::test]
async fn a_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_asks() {
    let seconds = Duration::from_secs;
    // (status, lines of the head, the rest)
    for (status, lines, rest) in [
        (429, "", FIRST_REST),
        (429, "retry-after: 100\r\n", seconds(100)),
        (503, "retry-after: 40\r\n", seconds(40)),
        (429, "retry-after: 0\r\n", FIRST_REST),
        (429, "retry-after: soon\r\n", FIRST_REST),
        (429, "retry-after: 4000000000\r\n", LONGEST_ASKED),
        (503, "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n", LONGEST_ASKED),
    ] {
        let (url, requests) = serve_with_headers(move |_, _, number| match number {
            1 => (status, lines, String::new()),
            _ => (200, "", r#"{"access_token":"t"}"#.to_owned()),
        })
        .await;
        let host = Host::for_tests();
        let source = source_on(&host, &url, |_| {});
        let refusal = source.token().await.err().expect("refused");
        assert!(refusal.is_retryable(), "{refusal:?}");
        let delay = refusal.delay().expect("a delay");
        assert!(delay <= LONGEST_REST, "{lines}: data is kept for as long as an exporter says: {delay:?}");
        assert_eq!(requests.load(SeqCst), 1, "{lines}: nor asked in another way");
        // What is left of the rest is less than it was when the server answered.
        let end = source.fetching.lock().await.rest.as_ref().expect("a rest").0;
        let left = end - Instant::now();
        assert!(left <= rest && left > rest.saturating_sub(seconds(60)), "{lines}: {left:?}");
        if rest > seconds(61) {
            pass(rest - seconds(60) - seconds(1)).await;
            assert!(source.token().await.is_err(), "{lines}: it rests");
            assert_eq!(requests.load(SeqCst), 1, "{lines}");
        }
        pass(rest).await;
        source.token().await.expect("a token");
        let outcomes = ["granted", "throttled", "failed"].map(|outcome| {
            let attributes = [("extension", "oauth2client"), ("outcome", outcome)];
            host.metrics.sum("phoenix_oauth2client_token_requests", &attributes)
        });
        assert_eq!(outcomes, [1, 1, 0], "{lines}");
    }
}

/// Where time is real, so that the machine may be slow: only the answers that have no time in them count.
#[tokio::test]
async fn only_answers_that_tell_of_load_are_asked_for_a_time() {
    let (url, requests) =
        serve_with_headers(|_, _, _| (400, "retry-after: 100\r\n", r#"{"error":"invalid_client"}"#.into()))
            .await;
    let source = source(&url, |_| {});
    assert!(source.token().await.is_err());
    assert_eq!(requests.load(SeqCst), 2, "in both ways");
    pass(FIRST_REST).await;
    assert!(source.token().await.is_err());
    assert_eq!(requests.load(SeqCst), 4, "after its own rest");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_its_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/token", silent.local_addr().expect("bound"));
    let source = source(&url, |config| config.timeout = phoenix_config::GoDuration::from_millis(50));
    let refusal = source.token().await.err().expect("refused");
    assert!(refusal.is_retryable(), "{refusal:?}");
}

#[tokio::test]
async fn a_valid_token_outlives_a_server_that_fails_and_a_secret_comes_from_its_file() {
    let folder = tempfile::tempdir().expect("made");
    let file = folder.path().join("secret");
    let (url, requests) = serve(|_, _, number| match number {
        1 => (200, r#"{"access_token":"first","expires_in":400}"#.to_owned()),
        _ => (503, String::new()),
    })
    .await;
    let source = source(&url, |config| {
        config.client_secret = Opaque::default();
        config.client_secret_file = file.display().to_string();
    });
    let missing = source.token().await.err().expect("no secret");
    assert!(missing.message().contains("client_secret_file"), "{missing}");
    std::fs::write(&file, "hush\n").expect("written");
    pass(Duration::from_secs(2)).await;
    source.token().await.expect("a token");
    // It is to be renewed by now, after half of its life.
    pass(Duration::from_secs(250)).await;
    let kept = source.token().await.expect("the one before");
    assert_eq!((kept.header.to_str().expect("text"), requests.load(SeqCst)), ("Bearer first", 2));
    pass(Duration::from_secs(200)).await;
    assert!(source.token().await.is_err(), "it has expired");
}
