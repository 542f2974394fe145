use std::io;

/// Why an optimizer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// A catalog is not there, or not for us to read.
    #[error("cannot read the catalog {path}")]
    Unreadable {
        /// As it was configured.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A catalog holds something else.
    #[error("the catalog {path} is not valid: {problems}")]
    Invalid {
        /// As it was configured.
        path: String,
        /// What is wrong with it.
        problems: String,
    },
    /// Presets, catalogs and settings have too many rules together.
    #[error("there are {rules} rules, and {most} at most are carried out")]
    TooMany {
        /// How many there are.
        rules: usize,
        /// How many there may be.
        most: usize,
    },
    /// Rules of presets, catalogs and settings contradict each other.
    #[error("rule {rule:?} {message}")]
    Conflict {
        /// The rule that comes later.
        rule: String,
        /// Why it cannot be.
        message: String,
    },
}
