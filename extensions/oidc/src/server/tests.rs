//! Against an issuer of the test's own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::HeaderMap;
use phoenix_component::factory::{CreateContext, Shared};
use phoenix_component::{Extension as _, Host, Slot, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::jwt::tests::Signer;
use crate::{Oidc, OidcConfig};

/// Publishes keys that can be changed; counts what it is asked.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(keys: Option<Vec<Value>>) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (keys, asked) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let issuer = Issuer { url: url.clone(), keys: keys.clone(), asked: asked.clone() };
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let (mut head, mut buffer) = (String::new(), [0; 2048]);
                while !head.contains("\r\n\r\n") {
                    let read = stream.read(&mut buffer).await.expect("read");
                    head.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                asked.fetch_add(1, SeqCst);
                let keys = keys.lock().unwrap().clone();
                let (status, body) = match (keys, head.split(' ').nth(1)) {
                    (None, _) => (503, String::new()),
                    (Some(_), Some("/.well-known/openid-configuration")) => {
                        (200, json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string())
                    }
                    (Some(keys), Some("/keys")) => (200, json!({ "keys": keys }).to_string()),
                    _ => (404, String::new()),
                };
                assert!(head.starts_with("GET ") && !head.contains("content-length"), "{head}");
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        issuer
    }

    fn token(&self, signer: &Signer) -> String {
        let claims = json!({
            "iss": self.url, "aud": "collector", "exp": unix_now() + 600.0, "sub": "ann", "mail": "a@b",
            "groups": ["x", 5], "tenant": {"id": 7},
        });
        signer.sign(&claims)
    }
}

async fn started(yaml: &str) -> (Oidc, Arc<Slot<dyn ServerAuth>>, Host) {
    let config: OidcConfig = phoenix_config::decode_text(yaml).expect(yaml);
    let (host, shared) = (Host::for_tests(), Shared::default());
    let id = ComponentId::parse("oidc").expect("an identifier");
    let status = StatusReporter::detached(Kind::Extension, id.clone());
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    let extension = Oidc::new(&config, &cx).expect("made");
    extension.start(&host).await.expect("started");
    let slot = host.capabilities.server_auth(&id).expect("published");
    (extension, slot, host)
}

async fn judge(slot: &Slot<dyn ServerAuth>, shown: &str) -> Verdict {
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, shown.parse().expect("a value"))]);
    match slot.get().expect("there").authenticate(Presented::new(&headers)) {
        Decision::Now(verdict) => verdict,
        Decision::Later(verdict) => verdict.await,
    }
}

async fn because(slot: &Slot<dyn ServerAuth>, shown: &str) -> Option<DeniedBecause> {
    judge(slot, shown).await.err().map(|denied| denied.because)
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_again_and_keys_are_rotated() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(None).await;
    let yaml = format!(
        "{{issuer_url: '{}', audience: collector, username_claim: mail, groups_claim: groups}}",
        issuer.url
    );
    let (extension, slot, _host) = started(&yaml).await;
    let (first, second) =
        (format!("Bearer {}", issuer.token(&old)), format!("Bearer {}", issuer.token(&new)));
    let denied = judge(&slot, &first).await.expect_err("no keys");
    assert_eq!((denied.because, denied.delay.is_some()), (DeniedBecause::Unavailable, true));
    assert!(denied.message.contains(&issuer.url), "{denied}");
    *issuer.keys.lock().unwrap() = Some(vec![old.jwk()]);
    while because(&slot, &first).await == Some(DeniedBecause::Unavailable) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let identity = judge(&slot, &first).await.expect("let in");
    assert_eq!(identity.text("subject").as_deref(), Some("a@b"));
    assert_eq!(identity.text("membership").as_deref(), Some("x;5"));
    assert_eq!(identity.get("claims.tenant"), Some(&json!({"id": 7})));
    assert_eq!(identity.text("sub").as_deref(), Some("ann"));
    assert_eq!(Some(identity.text("raw").as_deref().expect("raw")), first.strip_prefix("Bearer "));
    // Known by its digest: the same thing comes back.
    assert!(Arc::ptr_eq(&identity, &judge(&slot, &first).await.expect("let in")));
    // The next key is asked for by the first token that names it; the old one is gone then.
    *issuer.keys.lock().unwrap() = Some(vec![new.jwk()]);
    let before = issuer.asked.load(SeqCst);
    // A slow machine may not fetch it within the time that one request waits.
    while because(&slot, &second).await == Some(DeniedBecause::Invalid) {}
    assert_eq!(because(&slot, &second).await, None);
    assert!(issuer.asked.load(SeqCst) >= before + 2);
    assert_eq!(because(&slot, &first).await, Some(DeniedBecause::Invalid), "its key was withdrawn");
    // Keys are rotated while nobody can ask for them: whoever has a token of the new one is to come again.
    *issuer.keys.lock().unwrap() = None;
    let third = format!("Bearer {}", issuer.token(&Signer::new("third")));
    let denied = loop {
        let denied = judge(&slot, &third).await.expect_err("no key");
        if denied.because != DeniedBecause::Invalid {
            break denied;
        }
    };
    assert_eq!((denied.because, denied.delay.is_some()), (DeniedBecause::Unavailable, true), "{denied}");
    assert_eq!(because(&slot, &second).await, None, "who is known comes in");
    extension.stop(tokio::time::Instant::now()).await;
    assert!(slot.get().is_none());
}

#[tokio::test]
async fn everything_else_is_refused_by_name_and_shows_no_token() {
    let signer = Signer::new("a");
    let folder = tempfile::tempdir().expect("made");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, json!({"keys": [signer.jwk()]}).to_string()).expect("written");
    let yaml = format!(
        "{{providers: [{{issuer_url: 'https://i', audience: collector, public_keys_file: '{0}'}}, \
         {{issuer_url: 'https://j', ignore_audience: true, groups_claim: groups, public_keys_file: '{0}'}}]}}",
        file.display()
    );
    let (_extension, slot, _host) = started(&yaml).await;
    let claims = json!({"iss": "https://i", "aud": "collector", "exp": unix_now() + 60.0, "sub": "ann"});
    let token = |changes: Value| {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        format!("Bearer {}", signer.sign(&claims))
    };
    assert_eq!(because(&slot, &token(json!({}))).await, None);
    assert_eq!(because(&slot, &token(json!({"iss": "https://j", "aud": "x", "groups": "g"}))).await, None);
    // Of a key that is in no file nobody can ask for a newer one.
    let stranger = format!("Bearer {}", Signer::new("b").sign(&claims));
    let shown = HeaderMap::from_iter([(http::header::AUTHORIZATION, stranger.parse().expect("a value"))]);
    let decision = slot.get().expect("there").authenticate(Presented::new(&shown));
    assert!(matches!(decision, Decision::Now(Err(denied)) if denied.because == DeniedBecause::Invalid));
    let none = format!("Bearer {}", signer.sign_as(&json!({"alg": "none"}), &claims));
    // (what is shown, why it is refused, part of what is said)
    for (shown, why, said) in [
        (String::new(), DeniedBecause::Missing, "authentication didn't succeed"),
        ("Bearer".to_owned(), DeniedBecause::Invalid, "invalid authorization header format"),
        ("Bearer a b".to_owned(), DeniedBecause::Invalid, "invalid authorization header format"),
        ("Bearer x.y.z".to_owned(), DeniedBecause::Invalid, "failed to parse the token"),
        (format!("Bearer {}.y.z", "x".repeat(16 << 10)), DeniedBecause::Invalid, "it is too long"),
        (token(json!({"nbf": unix_now() + 3600.0})), DeniedBecause::Invalid, "not valid yet"),
        (token(json!({"aud": ["x", "y"]})), DeniedBecause::Invalid, "expected audience not found"),
        (none, DeniedBecause::Invalid, "unsupported signature algorithm \"none\""),
        (
            token(json!({"iss": "https://k"})),
            DeniedBecause::Invalid,
            "no OIDC provider configured for the issuer",
        ),
        (token(json!({"aud": "x"})), DeniedBecause::Invalid, "expected audience not found"),
        (token(json!({"exp": 5})), DeniedBecause::Expired, "has expired"),
        (token(json!({"iss": "https://j"})), DeniedBecause::Invalid, "groups_claim"),
    ] {
        let denied = judge(&slot, &shown).await.expect_err(&shown);
        assert_eq!(denied.because, why, "{denied}");
        assert!(denied.message.contains(said), "{denied}");
        assert!(shown.len() < 40 || !denied.message.contains(&shown[30..60]), "{denied}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let provider = Provider::new(ProviderSettings::default(), Keys::new(true));
    let somebody = Arc::new(Identity::default());
    for number in 0..3 * MAX_KNOWN {
        let digest = key_of(&number.to_be_bytes());
        provider.remember(digest, 0, 100.0, &somebody, 1.0);
        assert!(provider.recall(&digest, 99.0).is_some());
        assert!(provider.recall(&digest, 100.0).is_none(), "it has expired");
    }
    assert!(provider.known().len() <= MAX_KNOWN);
}
