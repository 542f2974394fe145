//! Custom messages of Phoenix: what OpAMP itself has no words for. Both sides announce which they understand.

use serde::{Deserialize, Serialize};

use crate::messages::CustomMessage;

/// Tasks go to agents as `task`, and come back as `result`.
pub const TASKS: &str = "io.phoenix.tasks/v1";

/// Agents tell [`Vitals`], of the type `vitals`.
pub const VITALS: &str = "io.phoenix.vitals/v1";

/// How the data of a collector fares with the remote configuration that it runs, against how it fared before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vitals {
    /// The hash of that configuration, in hexadecimal digits.
    pub hash: String,
    /// For how long it has run, in seconds.
    pub seconds: u64,
    /// What was counted since it came.
    pub since: Items,
    /// What was counted in the minutes before it.
    pub before: Items,
    /// The fullest queue of an exporter, as a share of what it may hold.
    pub queue: f64,
    /// The same, at the most, in the minutes before it.
    pub queue_before: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// The same, at the most, in the minutes before it.
    pub memory_before: u64,
    /// What the process may use at most, in bytes.
    pub memory_limit: u64,
    /// CPU time per second since it came, of the last five minutes: in cores.
    pub cpu: f64,
    /// The same in the minutes before it.
    pub cpu_before: f64,
    /// The cores that the process may use; 0 where it does not say.
    pub cores: f64,
}

/// Spans, data points and log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Items {
    /// Receivers took them.
    pub accepted: u64,
    /// Receivers did not.
    pub refused: u64,
    /// Exporters delivered them.
    pub sent: u64,
    /// Exporters gave them up, or had no room for them.
    pub failed: u64,
}

impl Items {
    /// The share of received items that were refused, in percent; none where fewer than `least` came.
    pub fn refused_percent(&self, least: u64) -> Option<f64> {
        percent(self.refused, self.accepted, least)
    }

    /// The share of items to be sent that failed, in percent; none where there were fewer than `least`.
    pub fn failed_percent(&self, least: u64) -> Option<f64> {
        percent(self.failed, self.sent, least)
    }

    /// What was counted between `earlier` and this.
    pub fn minus(&self, earlier: &Items) -> Items {
        Items {
            accepted: self.accepted.saturating_sub(earlier.accepted),
            refused: self.refused.saturating_sub(earlier.refused),
            sent: self.sent.saturating_sub(earlier.sent),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

fn percent(bad: u64, good: u64, least: u64) -> Option<f64> {
    let all = bad.saturating_add(good);
    (all > 0 && all >= least).then(|| bad as f64 / all as f64 * 100.0)
}

impl Vitals {
    /// The message that carries it.
    pub fn message(&self) -> CustomMessage {
        // Numbers and a text: JSON can say that.
        let data = serde_json::to_vec(self).unwrap_or_default();
        CustomMessage { capability: VITALS.to_owned(), r#type: "vitals".to_owned(), data }
    }

    /// Reads such a message.
    ///
    /// # Errors
    /// Where its data are no vitals.
    pub fn read(message: &CustomMessage) -> Result<Vitals, serde_json::Error> {
        serde_json::from_slice(&message.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_need_enough_items() {
        let items = Items { accepted: 90, refused: 10, sent: 0, failed: 3 };
        assert_eq!((items.refused_percent(100), items.refused_percent(101)), (Some(10.0), None));
        assert_eq!((items.failed_percent(0), items.failed_percent(4)), (Some(100.0), None));
        assert_eq!(Items::default().failed_percent(0), None, "nothing is no share");
        let more = Items { accepted: 100, refused: 10, sent: 5, failed: 2 };
        assert_eq!(more.minus(&items), Items { accepted: 10, refused: 0, sent: 5, failed: 0 });
    }

    #[test]
    fn vitals_are_read_as_they_are_written() {
        let told = Vitals { hash: "0a".into(), queue: 0.25, memory: 1 << 40, ..Vitals::default() };
        assert_eq!(Vitals::read(&told.message()).expect("JSON"), told);
        let other = |data: &str| CustomMessage { data: data.into(), ..told.message() };
        assert!(Vitals::read(&other(r#"{"queue": "full"}"#)).is_err());
        assert!(Vitals::read(&other(r#"{"memory": -1}"#)).is_err());
        assert_eq!(Vitals::read(&other(r#"{"later": 1}"#)).expect("JSON"), Vitals::default());
    }
}
