//! A plain client of the API, and load for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    key: String,
}

impl Api {
    pub(crate) fn new(address: SocketAddr, key: String) -> Api {
        Api { address, key }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.key,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await?;
        let text = String::from_utf8(read)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        anyhow::ensure!((200..300).contains(&status), "{method} {path}: {status} {body}");
        Ok(serde_json::from_str(body).unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask("POST", path, &body.to_string()).await
    }

    /// The identifier of the first version of a new configuration.
    pub(crate) async fn version(&self, text: &str) -> anyhow::Result<Value> {
        let made = self.post("/configurations", &json!({"name": "fleet"})).await?;
        let path = format!("/configurations/{}/versions", made["id"].as_str().context("an id")?);
        Ok(self.post(&path, &json!({"text": text, "message": "fleet"})).await?["version"]["id"].clone())
    }

    /// Sends `rate` requests a second, mixed; how long each took in microseconds, and how many failed. The clock of a
    /// request starts when it is due, so one that waits for another counts.
    pub(crate) async fn load(
        &self,
        rate: u64,
        time: Duration,
        agents: &str,
    ) -> anyhow::Result<(Histogram<u64>, u64)> {
        let taken = Arc::new(Mutex::new((Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?, 0)));
        let first = self.ask("GET", agents, "").await.unwrap_or_default();
        let agent = format!("/agents/{}", first["items"][0]["id"].as_str().unwrap_or_default());
        let begun = tokio::time::Instant::now();
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..rate * time.as_secs() {
            let due = begun + Duration::from_secs(1).mul_f64(number as f64 / rate as f64);
            tokio::time::sleep_until(due).await;
            let (api, taken, agent, agents) = (self.clone(), taken.clone(), agent.clone(), agents.to_owned());
            requests.spawn(async move {
                let answer = match number % 10 {
                    0 => {
                        let token = json!({"name": "load", "labels": {}}).to_string();
                        api.ask("POST", "/enrolment-tokens", &token).await
                    }
                    1..=3 => api.ask("GET", &agents, "").await,
                    4..=6 => api.ask("GET", &agent, "").await,
                    7 => api.ask("GET", "/rollouts", "").await,
                    8 => api.ask("GET", "/audit?limit=20", "").await,
                    _ => api.ask("GET", "/me", "").await,
                };
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                if answer.is_err() {
                    taken.1 += 1;
                }
                taken.0.saturating_record(micros);
            });
        }
        requests.join_all().await;
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(taken.clone())
    }
}
