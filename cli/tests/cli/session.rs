//! Who is logged in where.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_kept_for_this_user_alone() {
    let rig = Rig::start().await;
    let server = format!("http://{}", rig.api);
    let none = rig.bare(&["status"], &[], "").await;
    assert_eq!(none.code, 1);
    assert!(none.err.contains("nobody is logged in"), "{}", none.err);
    let wrong = rig.bare(&["login", "--server", &server], &[], "phx_key_nonsense\n").await;
    assert!(wrong.code == 1 && wrong.err.contains("not valid"), "{}", wrong.err);

    let key = format!("{}\n", rig.key);
    let out = rig.bare(&["login", "--server", &server], &[], &key).await.code(0);
    assert!(out.contains("admin") && !out.contains(&rig.key), "{out}");
    let path = rig.folder.path().join("phoenix/credentials.json");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(rig.bare(&["status"], &[], "").await.code(0).contains(&server));
    // A key goes to no other server.
    let other = rig.bare(&["status", "--server", "http://localhost:1"], &[], "").await;
    assert!(other.code == 1 && other.err.contains("the login is for"), "{}", other.err);

    // A user with a password, who may only look.
    let made = rig.bare(&["create", "user", "ann", "--role", "viewer"], &[], "a long password\n").await;
    made.code(0);
    let login = ["login", "--server", &server, "--user", "ann"];
    assert_eq!(rig.bare(&login, &[], "wrong password\n").await.code, 1);
    assert!(rig.bare(&login, &[], "a long password\n").await.code(0).contains("user:ann (viewer)"));
    let refused = rig.bare(&["create", "api-key", "mine", "--role", "admin"], &[], "").await;
    assert!(refused.code == 1 && refused.err.contains("viewer"), "{}", refused.err);
    rig.bare(&["logout"], &[], "").await.code(0);
    assert!(!path.exists());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_comes_in_three_forms() {
    let rig = Rig::start().await;
    rig.run(&["create", "enrolment-token", "edge", "--label", "env=prod", "--max-uses", "5"]).await.code(0);
    let table = rig.run(&["get", "tokens"]).await.code(0);
    assert!(table.starts_with("NAME") && table.contains("edge  env=prod  0     5"), "{table}");
    let tokens = rig.run(&["get", "tokens", "-o", "json"]).await.json();
    assert_eq!((&tokens[0]["name"], &tokens[0]["labels"]), (&json!("edge"), &json!({"env": "prod"})));
    let yaml = rig.run(&["get", "tokens", "edge", "-o", "yaml"]).await.code(0);
    assert!(yaml.contains("name: edge"), "{yaml}");
    let none = rig.run(&["get", "token", "egde"]).await;
    assert!(none.code == 1 && none.err.contains("is it \"edge\""), "{}", none.err);
    let away =
        rig.bare(&["get", "agents"], &[("PHOENIX_SERVER", "http://127.0.0.1:1"), ("PHOENIX_TOKEN", "x")], "");
    let away = away.await;
    assert!(away.code == 1 && away.err.contains("no control service answers"), "{}", away.err);
    for shell in ["bash", "zsh", "fish"] {
        let script = rig.bare(&["completion", shell], &[], "").await.code(0);
        for word in ["rollout", "events", "roles", "signing-keys", "follow", "renew"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    rig.stop().await;
}
