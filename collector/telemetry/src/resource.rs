/// What own telemetry is about: this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// Attributes, sorted by key.
    pub attributes: Vec<(String, String)>,
    /// The schema that the attributes follow; empty for none.
    pub schema_url: String,
}
