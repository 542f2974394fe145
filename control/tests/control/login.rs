//! Logins with a provider of OpenID Connect, which is played here.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phoenix_control::oidc::OidcSettings;
use phoenix_control::serve::Options;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::rig::{Rig, options};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with one key, which gives a token for one code.
struct Provider {
    issuer: String,
    pair: EcdsaKeyPair,
    /// The challenge that the verifier of the code must fit to, and the claims.
    expected: Mutex<(String, Value)>,
}

impl Provider {
    async fn start() -> Arc<Provider> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("made");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("read");
        let provider = Arc::new(Provider { issuer, pair, expected: Mutex::default() });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "one"});
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("signed");
        format!("{message}.{}", encode(signature))
    }

    fn claims(&self, who: &str, groups: &[&str], nonce: &str) -> Value {
        let soon =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
        json!({"iss": self.issuer, "aud": "phoenix", "sub": format!("id of {who}"), "email": who,
               "groups": groups, "nonce": nonce, "exp": soon + 300})
    }
}

async fn discovery(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", provider.issuer);
    Json(json!({"issuer": provider.issuer, "authorization_endpoint": at("/login"),
                "token_endpoint": at("/token"), "jwks_uri": at("/keys")}))
}

async fn keys(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let point = provider.pair.public_key().as_ref();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "x": x, "y": y}]}))
}

async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    asked: String,
) -> Result<Json<Value>, StatusCode> {
    let verifier = parameter(&asked, "code_verifier");
    let challenge = encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
    let (expected, claims) = provider.expected.lock().expect("fine").clone();
    // `phoenix` and `hush` as a pair.
    let basic = headers.get("authorization").and_then(|value| value.to_str().ok());
    match parameter(&asked, "code") == "the%20code"
        && challenge == expected
        && basic == Some("Basic cGhvZW5peDpodXNo")
    {
        true => Ok(Json(json!({"id_token": provider.sign(&claims)}))),
        false => Err(StatusCode::BAD_REQUEST),
    }
}

async fn start(provider: &Provider) -> Rig {
    let folder = tempfile::tempdir().expect("made");
    let oidc = OidcSettings {
        issuer: provider.issuer.clone(),
        client_id: "phoenix".to_owned(),
        client_secret: Some("hush".to_owned()),
        public_url: "http://localhost:8080".to_owned(),
        ca: None,
        name_claim: "email".to_owned(),
        role_claim: "groups".to_owned(),
        roles: ["platform=admin", "payments=deployer:team=payments"]
            .map(|rule| rule.parse().expect("a rule"))
            .to_vec(),
    };
    let options = Options { oidc: Some(oidc), ..options(folder.path()) };
    Rig::start_with(folder, &options).await
}

/// The value of a parameter of a URL or a form.
fn parameter(url: &str, name: &str) -> String {
    let mut pairs = url.split(['?', '&']).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).expect("a parameter")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_with_the_provider() {
    let provider = Provider::start().await;
    let rig = start(&provider).await;
    let begun = rig.request("GET", "/sessions/oidc", "", &[], None).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let (url, cookie) = (begun.header("location"), begun.header("set-cookie"));
    assert!(url.starts_with(&format!("{}/login?response_type=code", provider.issuer)), "{url}");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let (state, nonce) = (parameter(&url, "state"), parameter(&url, "nonce"));
    let challenge = parameter(&url, "code_challenge");
    let back = async |state: &str, code: &str, cookie: &str| {
        let path = format!("/sessions/oidc/callback?state={state}&code={code}");
        rig.request("GET", &path, "", &[("cookie", cookie)], None).await
    };
    let who = provider.claims("ada@example.com", &["other", "payments"], &nonce);
    *provider.expected.lock().expect("fine") = (challenge.clone(), who.clone());
    // What another site could make a browser do.
    assert_eq!(back("made-up", "the%20code", &cookie).await.status, 401);
    assert_eq!(back(&state, "the%20code", "").await.status, 401);
    assert_eq!(back(&state, "made-up", &cookie).await.status, 401);
    *provider.expected.lock().expect("fine") =
        (challenge.clone(), provider.claims("ada@example.com", &["payments"], "of another login"));
    assert_eq!(back(&state, "the%20code", &cookie).await.status, 401);

    *provider.expected.lock().expect("fine") = (challenge, who);
    let done = back(&state, "the%20code", &cookie).await;
    assert_eq!(done.status, 303, "{}", done.body);
    let session = done.header("set-cookie");
    assert!(session.contains("SameSite=Strict") && session.contains("HttpOnly"), "{session}");
    let session = session.split(';').next().expect("a cookie").to_owned();
    let me = rig.request("GET", "/me", "", &[("cookie", &session)], None).await.body;
    assert_eq!(me["actor"], "user:ada@example.com", "{me}");
    assert_eq!((&me["role"], &me["scope"]), (&json!("deployer"), &json!("team=payments")));
    let csrf = me["csrf_token"].as_str().expect("for pages").to_owned();
    let group = Some(json!({"name": "mine", "selector": "team=payments"}));
    let ask = async |headers: &[(&str, &str)]| {
        rig.request("POST", "/groups", "", headers, group.clone()).await.status
    };
    assert_eq!(ask(&[("cookie", &session)]).await, 403, "without the token of the page");
    assert_eq!(ask(&[("cookie", &session), ("x-csrf-token", &csrf)]).await, 201);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_shows_an_id_token() {
    let provider = Provider::start().await;
    let rig = start(&provider).await;
    let show = async |token: String| {
        rig.request("POST", "/sessions/oidc", "", &[], Some(json!({"id_token": token}))).await
    };
    let opened = show(provider.sign(&provider.claims("ci", &["payments"], ""))).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let token = opened.body["token"].as_str().expect("a token").to_owned();
    assert_eq!(rig.request("GET", "/me", &token, &[], None).await.body["role"], "deployer");
    // The provider says something else by now.
    let opened = show(provider.sign(&provider.claims("ci", &["platform"], ""))).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    assert_eq!(rig.request("GET", "/me", &token, &[], None).await.body["role"], "admin");
    let with = |change: fn(&mut Value)| {
        let mut claims = provider.claims("eve", &["platform"], "");
        change(&mut claims);
        provider.sign(&claims)
    };
    for (token, expected) in [
        (with(|claims| claims["groups"] = json!(["unknown"])), 403),
        (with(|claims| claims["aud"] = json!("somebody else")), 401),
        (with(|claims| claims["iss"] = json!("http://elsewhere")), 401),
        (with(|claims| claims["exp"] = json!(1000)), 401),
        (with(|_| {}) + "x", 401),
        ("nonsense".to_owned(), 401),
    ] {
        assert_eq!(show(token).await.status, expected);
    }
    // Locked out here, the provider does not help.
    let users = rig.get("/users").await.body;
    let user = &users["items"][0];
    assert_eq!(users["items"].as_array().map(Vec::len), Some(1), "{users}");
    let path = format!("/users/{}", user["id"].as_str().expect("an id"));
    let tag = format!("\"{}\"", user["revision"]);
    let locked = Some(json!({"disabled": true}));
    assert_eq!(rig.request("PATCH", &path, &rig.key, &[("if-match", &tag)], locked).await.status, 200);
    assert_eq!(show(provider.sign(&provider.claims("ci", &["platform"], ""))).await.status, 403);
    assert_eq!(rig.request("GET", "/me", &token, &[], None).await.status, 401);
    // Nor is there a password for them.
    let login = json!({"name": "ci", "password": ""});
    assert_eq!(rig.request("POST", "/sessions", "", &[], Some(login)).await.status, 401);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_provider_there_is_no_such_login() {
    let rig = Rig::start().await;
    assert_eq!(rig.request("GET", "/sessions/oidc", "", &[], None).await.status, 404);
    let token = Some(json!({"id_token": "x"}));
    assert_eq!(rig.request("POST", "/sessions/oidc", "", &[], token).await.status, 404);
    // Guessing is slowed down.
    let mut last = 0;
    for _ in 0..12 {
        last = rig.request("GET", "/sessions/oidc", "", &[], None).await.status;
    }
    assert_eq!(last, 429);
    rig.stop().await;
}
