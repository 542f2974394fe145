//! What a program is handed besides records.

use crate::EvalError;

/// Time, chance, the sender, and where ignored errors go.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    /// Now, in nanoseconds since 1970.
    pub now_unix_nanos: i64,
    /// A source of random bits.
    pub random: &'e dyn Fn() -> u64,
    /// Who sent the batch; read by `otelcol.*`.
    pub client: &'e dyn Client,
    /// Hears of errors under `error_mode: ignore`.
    pub report: &'e dyn Report,
}

/// Who sent a batch.
pub trait Client {
    /// Its address, if it is known.
    fn address(&self) -> Option<String> {
        None
    }

    /// An attribute that its authentication found.
    fn auth_attribute(&self, _key: &str) -> Option<String> {
        None
    }

    /// The names of the attributes that its authentication found.
    fn auth_attributes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The values of a header of its request, by lower-case name.
    fn metadata(&self, _key: &str) -> Option<Vec<String>> {
        None
    }

    /// The names of the headers of its request.
    fn metadata_keys(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Nobody, as for what a stage let out.
impl Client for () {}

/// Hears of errors that are ignored.
pub trait Report {
    /// A statement or condition failed for a record, and work goes on.
    fn ignored(&self, source: &str, error: &EvalError);
}

/// Hears nothing.
impl Report for () {
    fn ignored(&self, _: &str, _: &EvalError) {}
}

impl<F: Fn(&str, &EvalError)> Report for F {
    fn ignored(&self, source: &str, error: &EvalError) {
        self(source, error);
    }
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("now_unix_nanos", &self.now_unix_nanos).finish_non_exhaustive()
    }
}
