//! Hints between the instances that share a database: that there is something to look at, never what.
//!
//! They are sent with NOTIFY, get lost where nobody listens, and may come twice; whoever listens looks by itself now and
//! then, too.

use std::future::poll_fn;
use std::time::Duration;

use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::{Backend, Db};
use crate::args;
use crate::error::Result;

const CHANNEL: &str = "phoenix_control";
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(3);

impl Db {
    /// Hints at `what` to every instance, this one too; nothing where there is only one.
    ///
    /// # Errors
    /// Where the database cannot answer.
    pub async fn hint(&self, what: String) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        let sql = "SELECT pg_notify(?1, ?2) IS NULL";
        self.beside(move |tx| tx.query(sql, args![CHANNEL, &what]).map(|_| ())).await
    }

    /// Hands hints to `take` until it is told to stop. A connection that is new may have missed some: that is an empty
    /// hint.
    pub async fn listen(&self, stop: CancellationToken, take: impl Fn(&str)) {
        let Backend::Postgres(postgres) = &self.0.backend else { return };
        let (config, tls) = postgres.apart();
        loop {
            let listened = async {
                let (client, mut connection) = config.connect(tls.clone()).await?;
                let command = format!("LISTEN {CHANNEL}");
                let listening = client.batch_execute(&command);
                tokio::pin!(listening);
                let mut listens = false;
                loop {
                    tokio::select! {
                        done = &mut listening, if !listens => {
                            done?;
                            listens = true;
                            take("");
                        }
                        message = poll_fn(|context| connection.poll_message(context)) => match message {
                            Some(Ok(AsyncMessage::Notification(hint))) => take(hint.payload()),
                            Some(Ok(_)) => {}
                            Some(Err(error)) => return Err(error),
                            None => return Ok(()),
                        }
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                ended = listened => if let Err(error) = ended {
                    tracing::warn!(%error, "cannot listen for hints of other instances");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
