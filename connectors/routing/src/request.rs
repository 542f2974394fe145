use phoenix_component::ClientInfo;

/// A condition on the request as a whole: `request["header"] == "value"`, or with `!=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestCondition {
    name: String,
    value: String,
    is_equal: bool,
}

impl RequestCondition {
    /// Reads a condition.
    pub(crate) fn parse(text: &str) -> Result<RequestCondition, String> {
        let form = || "must be `request[\"<name>\"] == \"<value>\"`, or with `!=`".to_owned();
        let (left, right, is_equal) = match (text.split_once("=="), text.split_once("!=")) {
            (Some((left, right)), None) => (left, right, true),
            (None, Some((left, right))) => (left, right, false),
            _ => return Err(form()),
        };
        let name = left.trim().strip_prefix("request[\"").and_then(|rest| rest.strip_suffix("\"]"));
        let value = right.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match (name, value) {
            (Some(name), Some(value))
                if !name.is_empty() && !right.contains("==") && !right.contains("!=") =>
            {
                Ok(RequestCondition { name: name.to_owned(), value: value.to_owned(), is_equal })
            }
            _ => Err(form()),
        }
    }

    /// Whether a value of the header compares as wanted; without one, none does.
    pub(crate) fn matches(&self, client: Option<&ClientInfo>) -> bool {
        client.is_some_and(|client| {
            client.metadata(&self.name).any(|value| (value == self.value) == self.is_equal)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_each_value_of_a_header() {
        let client = ClientInfo {
            metadata: vec![("x-tenant".into(), "acme".into()), ("x-tenant".into(), "b".into())],
            ..ClientInfo::default()
        };
        let matches = |text: &str| RequestCondition::parse(text).expect(text).matches(Some(&client));
        assert!(matches(r#"request["X-Tenant"] == "acme""#));
        assert!(!matches(r#"request["x-tenant"] == "c""#));
        assert!(matches(r#" request["x-tenant"]!="acme" "#), "the other value differs");
        assert!(!matches(r#"request["none"] != "acme""#), "as in otelcol");
        let without = RequestCondition::parse(r#"request["a"] != "b""#).expect("a condition");
        assert!(!without.matches(None));
        for text in ["", "request == \"a\"", "request[\"a\"] < \"b\"", "request[\"a\"] == b", "a == b == c"] {
            assert!(RequestCondition::parse(text).is_err(), "{text}");
        }
    }
}
