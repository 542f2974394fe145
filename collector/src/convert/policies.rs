//! Policies as they are written to YAML.

use std::collections::HashSet;

/// A policy, or only a comment where it would be.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    pub(super) name: String,
    kind: &'static str,
    comments: Vec<String>,
    body: Body,
}

#[derive(Clone, Debug, Default)]
enum Body {
    #[default]
    Nothing,
    /// Key and value, both as YAML.
    Settings(Vec<(&'static str, String)>),
    /// The key of a list, and what is in it.
    Policies(&'static str, Vec<Policy>),
    /// The key of one policy, and it.
    Policy(&'static str, Box<Policy>),
}

impl Policy {
    /// With settings of its type; values are YAML.
    pub(super) fn new(name: &str, kind: &'static str, settings: Vec<(&'static str, String)>) -> Policy {
        let body = if settings.is_empty() { Body::Nothing } else { Body::Settings(settings) };
        Policy { name: name.to_owned(), kind, body, ..Policy::default() }
    }

    /// Keeps everything.
    pub(super) fn keep(name: &str) -> Policy {
        Policy::new(name, "always_sample", Vec::new())
    }

    /// Drops what all of `conditions` hold for.
    pub(super) fn drop_where(name: &str, conditions: Vec<Policy>) -> Policy {
        let body = Body::Policies("drop_sub_policy", conditions);
        Policy { name: name.to_owned(), kind: "drop", body, ..Policy::default() }
    }

    /// The opposite of a condition.
    pub(super) fn not(name: &str, condition: Policy) -> Policy {
        let body = Body::Policy("not_sub_policy", Box::new(condition));
        Policy { name: name.to_owned(), kind: "not", body, ..Policy::default() }
    }

    /// A condition of OTTL that one span has to meet.
    pub(super) fn where_a_span(name: &str, condition: &str) -> Policy {
        let list = format!("[{}]", quoted(condition));
        Policy::new(name, "ottl_condition", vec![("error_mode", "ignore".into()), ("span", list)])
    }

    /// No policy, only words.
    pub(super) fn comment(text: &str) -> Policy {
        Policy::default().with_comment(text)
    }

    pub(super) fn with_comment(mut self, text: &str) -> Policy {
        self.comments.push(text.to_owned());
        self
    }

    /// The same for what all of `conditions` hold for.
    pub(super) fn after(self, mut conditions: Vec<Policy>) -> Policy {
        if conditions.is_empty() {
            return self;
        }
        let (name, comments) = (self.name.clone(), self.comments.clone());
        // What keeps everything adds nothing to its conditions.
        if self.kind == "always_sample" {
            if let [only] = conditions.as_mut_slice() {
                return Policy { name, comments, ..std::mem::take(only) };
            }
        } else {
            conditions.push(Policy { name: "sample".to_owned(), comments: Vec::new(), ..self });
        }
        Policy { name, kind: "and", comments, body: Body::Policies("and_sub_policy", conditions) }
    }

    /// Writes it as an entry of a list that is indented by `depth`.
    pub(super) fn write(&self, depth: usize, out: &mut String) {
        let pad = " ".repeat(depth);
        for comment in &self.comments {
            *out += &format!("{pad}# {comment}\n");
        }
        if !self.kind.is_empty() {
            *out += &format!("{pad}- ");
            self.write_fields(depth + 2, out);
        }
    }

    /// The fields, of which the first stands where the line is.
    fn write_fields(&self, depth: usize, out: &mut String) {
        let (pad, kind) = (" ".repeat(depth), self.kind);
        *out += &format!("name: {}\n{pad}type: {kind}\n", quoted(&self.name));
        match &self.body {
            Body::Nothing => {}
            Body::Settings(settings) => {
                *out += &format!("{pad}{kind}:\n");
                settings.iter().for_each(|(key, value)| *out += &format!("{pad}  {key}: {value}\n"));
            }
            Body::Policies(key, policies) => {
                *out += &format!("{pad}{kind}:\n{pad}  {key}:\n");
                policies.iter().for_each(|policy| policy.write(depth + 4, out));
            }
            Body::Policy(key, policy) => {
                *out += &format!("{pad}{kind}:\n{pad}  {key}:\n{pad}    ");
                policy.write_fields(depth + 4, out);
            }
        }
    }
}

/// Gives policies of equal names a number.
pub(super) fn make_unique(policies: &mut [Policy]) {
    let mut used = HashSet::new();
    for policy in policies.iter_mut().filter(|policy| !policy.kind.is_empty()) {
        let name = policy.name.clone();
        let mut number = 2;
        while !used.insert(policy.name.clone()) {
            policy.name = format!("{name} ({number})");
            number += 1;
        }
    }
}

/// A text in YAML, such that the collector reads it back: `$` would refer to something.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('$', "$$"))
}
