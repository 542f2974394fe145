//! The log of the service as programs read it.

use serde_json::{Value, json};

use crate::agent::{Agent, Kind};
use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_the_log_is_an_object_where_programs_read_it() {
    let rig = Rig::start_process_with(None, &["--log-format=json", "--log-level=debug"]);
    let token = rig.token().await;
    // The result of a task that nobody gave is put aside, which is worth a line.
    let mut agent = Agent::connect(&rig, Kind::WebSocket, 1, &token).await.expect("let in");
    agent.say_all().await;
    agent.finish(&json!({"id": "tsk_0", "fence": 1, "result": 1})).await;
    let mut lines = Vec::new();
    for _ in 0..300 {
        lines = rig.log().lines().map(str::to_owned).collect();
        if lines.iter().any(|line| line.contains("too late")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let told = lines.iter().find(|line| line.contains("too late")).expect("it is written");
    let told: Value = serde_json::from_str(told).expect("JSON");
    assert_eq!((&told["level"], &told["agent"]), (&json!("warn"), &json!(agent.id())), "{told}");
    for line in lines {
        let read: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["level", "ts", "msg"] {
            assert!(read[key].is_string(), "{key}: {line}");
        }
        assert!(!line.contains(&token), "{line}");
    }
    rig.stop().await;
}
