use std::borrow::Cow;

/// Why an expression has no value, or an editor did not do its work, for one record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(Cow<'static, str>);

impl EvalError {
    /// Takes the message: lower case, no full stop.
    pub fn new(message: impl Into<Cow<'static, str>>) -> EvalError {
        EvalError(message.into())
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0
    }

    /// The same error, with what was being done before it: `context: message`.
    pub fn within(self, context: impl std::fmt::Display) -> EvalError {
        EvalError(format!("{context}: {}", self.0).into())
    }
}

impl From<&'static str> for EvalError {
    fn from(message: &'static str) -> EvalError {
        EvalError::new(message)
    }
}

impl From<String> for EvalError {
    fn from(message: String) -> EvalError {
        EvalError::new(message)
    }
}
