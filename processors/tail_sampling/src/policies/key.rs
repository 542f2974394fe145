//! What makes traces alike: the values of some attributes.

use xxhash_rust::xxh3::xxh3_64;

use crate::facts::{FieldId, TraceFacts};
use crate::plan::Builder;

/// The key of traces: the distinct values that each field has in a trace, sorted.
#[derive(Debug, Default)]
pub(crate) struct TraceKey {
    fields: Vec<FieldId>,
    has_length: bool,
    text: String,
}

impl TraceKey {
    /// Of these attributes, which stand at `key`; none where something is wrong with them.
    pub(crate) fn new(builder: &mut Builder<'_>, names: &[String], key: &str) -> Option<TraceKey> {
        let mut is_right = true;
        for (index, name) in names.iter().enumerate() {
            let at = format!("{key}::{index}");
            let is_root = name.starts_with("root.") && name != "root.name";
            builder.problems().require(!name.is_empty(), &at, "must name an attribute");
            builder.problems().require(
                !is_root,
                &at,
                "attributes of the root alone are not known: write the name without `root.`; `root.name` is the name of the root",
            );
            is_right &= !name.is_empty() && !is_root;
        }
        let fields =
            if is_right { names.iter().map(|name| builder.field(name)).collect() } else { Vec::new() };
        is_right.then(|| TraceKey { fields, ..TraceKey::default() })
    }

    /// The same, with the number of spans as a part of it.
    pub(crate) fn with_length(self, has_length: bool) -> TraceKey {
        TraceKey { has_length, ..self }
    }

    /// The key of a trace, in Refinery's form.
    pub(crate) fn text(&mut self, trace: &TraceFacts) -> &str {
        self.text.clear();
        let mut values: Vec<&str> = Vec::new();
        for field in &self.fields {
            values.clear();
            values.extend(trace.values(*field));
            values.sort_unstable();
            for value in &values {
                self.text.push_str(value);
                self.text.push('•');
            }
            self.text.push(',');
        }
        if self.has_length {
            self.text.push_str(&trace.spans().to_string());
        }
        &self.text
    }

    /// A hash of the key.
    pub(crate) fn hash(&mut self, trace: &TraceFacts) -> u64 {
        if self.fields.is_empty() && !self.has_length { 0 } else { xxh3_64(self.text(trace).as_bytes()) }
    }
}
