//! What programs of one component are run with.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use phoenix_component::{ClientInfo, Refusal};
use phoenix_ottl::{Client, Env, EvalError, Report};
use phoenix_telemetry::{Counter, Description, Metrics};

const IGNORED: Description = Description {
    name: "phoenix_statement_errors_ignored",
    unit: "{error}",
    text: "Statements and conditions that failed for a record and were passed over, by error_mode ignore.",
};

/// Runs the programs of a component: hands in time, chance and the sender, logs and counts errors that are ignored.
#[derive(Debug)]
pub struct Runner {
    ignored: Counter,
}

impl Runner {
    /// For the component `id`, a `processor` or a `connector`.
    pub fn new(metrics: &Metrics, kind: &'static str, id: &str) -> Runner {
        Runner { ignored: metrics.quiet_counter(IGNORED, &[(kind, id)]) }
    }

    /// Runs `work` for a request of `client`.
    ///
    /// # Errors
    /// An error of `work`, which sending the request again cannot help.
    pub fn run<T>(
        &self,
        client: Option<&ClientInfo>,
        work: impl FnOnce(&Env<'_>) -> Result<T, EvalError>,
    ) -> Result<T, Refusal> {
        let errors = Errors::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let result = work(&Env {
            now_unix_nanos: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            random: &rand::random,
            client: &Sender(client),
            report: &errors,
        });
        let count = errors.count.get();
        if count > 0 {
            self.ignored.add(count);
            // Once for a request, whatever the number of its records; the log thins it out further.
            if let Some((statement, error)) = errors.first.into_inner() {
                tracing::warn!(statement, error, errors = count, "statement failed and was passed over");
            }
        }
        result.map_err(|error| Refusal::permanent("statement_failed", error.to_string()))
    }
}

/// Errors that were ignored while one request was worked on.
#[derive(Default)]
struct Errors {
    count: Cell<u64>,
    first: RefCell<Option<(String, String)>>,
}

impl Report for Errors {
    fn ignored(&self, source: &str, error: &EvalError) {
        if self.count.replace(self.count.get() + 1) == 0 {
            self.first.replace(Some((source.to_owned(), error.to_string())));
        }
    }
}

/// Who sent a request, where that is known.
struct Sender<'c>(Option<&'c ClientInfo>);

impl Client for Sender<'_> {
    fn address(&self) -> Option<String> {
        Some(self.0?.address?.ip().to_string())
    }

    fn auth_attribute(&self, key: &str) -> Option<String> {
        let value = self.0?.auth.as_ref()?.get(key)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    fn auth_attributes(&self) -> Vec<String> {
        let identity = self.0.and_then(|client| client.auth.as_deref());
        identity.iter().flat_map(|identity| identity.iter()).map(|(name, _)| name.to_owned()).collect()
    }

    fn metadata(&self, key: &str) -> Option<Vec<String>> {
        let values: Vec<String> = self.0?.metadata(key).map(str::to_owned).collect();
        (!values.is_empty()).then_some(values)
    }

    fn metadata_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.0.iter().flat_map(|client| &client.metadata).map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}
