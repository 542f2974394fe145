//! Names of spans by the semantic conventions for HTTP, RPC, databases and messaging.

use std::borrow::Cow;

/// The versions of the conventions that these rules are right for.
pub const VERSIONS: [&str; 4] = ["1.37.0", "1.38.0", "1.39.0", "1.40.0"];

/// What a span does, by its number in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handles a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends or receives a message.
    Messaging,
    /// Has no convention for its name.
    Other,
}

impl Kind {
    /// The kind of a number of OTLP.
    pub fn of(number: i64) -> Self {
        match number {
            2 => Self::Server,
            3 => Self::Client,
            4 | 5 => Self::Messaging,
            _ => Self::Other,
        }
    }
}

/// Attributes as text, for a look-up by key.
pub trait Attributes {
    /// The text of an attribute, in the form of `String` for other values than text.
    fn text(&self, key: &str) -> Option<Cow<'_, str>>;
    /// Whether an attribute is the boolean `true`.
    fn is_true(&self, key: &str) -> bool;
}

/// The name that the conventions give a span; `None` if they have none for it.
pub fn conventional(kind: Kind, attributes: &impl Attributes) -> Option<String> {
    let span = Span(attributes);
    let name = match kind {
        Kind::Server => span.http("http.route").or_else(|| span.rpc()).or_else(|| span.messaging()),
        Kind::Client => span
            .http("url.template")
            .or_else(|| span.rpc())
            .or_else(|| span.database())
            .or_else(|| span.messaging()),
        Kind::Messaging => span.messaging(),
        Kind::Other => None,
    };
    name.filter(|name| !name.is_empty())
}

struct Span<'a, A>(&'a A);

impl<A: Attributes> Span<'_, A> {
    /// The first of several attributes that is there: newer conventions have other keys than older ones.
    fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.0.text(key)).map(Cow::into_owned)
    }

    /// `{method} {target}`
    fn http(&self, target: &str) -> Option<String> {
        let method = self.first(&["http.request.method", "http.method"])?;
        Some(joined(Some(method), " ", self.first(&[target])).unwrap_or_default())
    }

    /// `{service}/{method}`
    fn rpc(&self) -> Option<String> {
        let system = self.first(&["rpc.system.name", "rpc.system"])?;
        let method = self.first(&["rpc.method", "rpc.grpc.method"]);
        let service = self.first(&["rpc.service", "rpc.grpc.service"]);
        Some(match (service, method) {
            (Some(service), Some(method)) => format!("{service}/{method}"),
            (None, Some(method)) => method,
            (Some(service), None) => format!("{service}/*"),
            (None, None) => system,
        })
    }

    /// A summary, or `{operation} {target}`.
    fn database(&self) -> Option<String> {
        let system = self.first(&["db.system.name", "db.system"])?;
        if let Some(summary) = self.first(&["db.query.summary"]) {
            return Some(summary);
        }
        let operation = self.first(&["db.operation.name", "db.operation"]);
        let namespace = self.first(&["db.namespace", "db.name"]);
        let within = self.first(&["db.collection.name", "db.stored_procedure.name"]);
        let target = joined(namespace, ".", within).or_else(|| self.server());
        Some(joined(operation, " ", target).unwrap_or(system))
    }

    /// `{operation} {destination}`
    fn messaging(&self) -> Option<String> {
        let system = self.first(&["messaging.system"])?;
        let operation = self.first(&["messaging.operation.name", "messaging.operation"]);
        let destination = if self.0.is_true("messaging.destination.temporary") {
            Some("(temporary)".to_owned())
        } else if self.0.is_true("messaging.destination.anonymous") {
            Some("(anonymous)".to_owned())
        } else {
            let keys =
                ["messaging.destination.template", "messaging.destination.name", "messaging.destination"];
            self.first(&keys).or_else(|| self.server())
        };
        Some(joined(operation, " ", destination).unwrap_or(system))
    }

    /// `{address}:{port}`
    fn server(&self) -> Option<String> {
        let address = self.first(&["server.address"])?;
        joined(Some(address), ":", self.first(&["server.port"]))
    }
}

/// Both with something between them, or the one that is there; empty ones are not.
fn joined(left: Option<String>, between: &str, right: Option<String>) -> Option<String> {
    let there = |text: &String| !text.is_empty();
    match (left.filter(there), right.filter(there)) {
        (Some(left), Some(right)) => Some(format!("{left}{between}{right}")),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Attributes for &[(&str, &str)] {
        fn text(&self, key: &str) -> Option<Cow<'_, str>> {
            self.iter().find(|(name, _)| *name == key).map(|(_, value)| Cow::Borrowed(*value))
        }

        fn is_true(&self, key: &str) -> bool {
            self.contains(&(key, "true"))
        }
    }

    /// Kind, attributes, name.
    type Case<'a> = (Kind, &'a [(&'a str, &'a str)], Option<&'a str>);

    #[test]
    fn names() {
        use Kind::{Client, Messaging, Other, Server};
        let cases: &[Case<'_>] = &[
            (Server, &[("http.request.method", "GET"), ("http.route", "/cart/{id}")], Some("GET /cart/{id}")),
            (Server, &[("http.method", "GET")], Some("GET")),
            (Client, &[("http.request.method", "GET"), ("http.route", "/x")], Some("GET")),
            (Client, &[("http.request.method", "GET"), ("url.template", "/x")], Some("GET /x")),
            (Server, &[("rpc.system", "grpc"), ("rpc.service", "S"), ("rpc.method", "M")], Some("S/M")),
            (Server, &[("rpc.system.name", "grpc"), ("rpc.service", "S")], Some("S/*")),
            (Client, &[("rpc.system", "grpc"), ("rpc.method", "M")], Some("M")),
            (Client, &[("rpc.system", "grpc")], Some("grpc")),
            (Client, &[("db.system", "pg"), ("db.query.summary", "SELECT t")], Some("SELECT t")),
            (Server, &[("db.system", "pg")], None),
            (
                Client,
                &[
                    ("db.system.name", "pg"),
                    ("db.operation.name", "SELECT"),
                    ("db.namespace", "d"),
                    ("db.collection.name", "t"),
                ],
                Some("SELECT d.t"),
            ),
            (Client, &[("db.system", "pg"), ("db.name", "d")], Some("d")),
            (Client, &[("db.system", "pg"), ("db.stored_procedure.name", "p")], Some("p")),
            (
                Client,
                &[
                    ("db.system", "pg"),
                    ("db.operation", "X"),
                    ("server.address", "h"),
                    ("server.port", "5432"),
                ],
                Some("X h:5432"),
            ),
            (Client, &[("db.system", "pg")], Some("pg")),
            (
                Messaging,
                &[
                    ("messaging.system", "k"),
                    ("messaging.operation.name", "send"),
                    ("messaging.destination.name", "q"),
                ],
                Some("send q"),
            ),
            (
                Messaging,
                &[
                    ("messaging.system", "k"),
                    ("messaging.operation", "send"),
                    ("messaging.destination.temporary", "true"),
                    ("messaging.destination.name", "q"),
                ],
                Some("send (temporary)"),
            ),
            (
                Messaging,
                &[("messaging.system", "k"), ("messaging.destination.anonymous", "true")],
                Some("(anonymous)"),
            ),
            (
                Messaging,
                &[
                    ("messaging.system", "k"),
                    ("messaging.destination.template", "t/{x}"),
                    ("messaging.destination.name", "q"),
                ],
                Some("t/{x}"),
            ),
            (Messaging, &[("messaging.system", "k"), ("server.address", "h")], Some("h")),
            (Messaging, &[("messaging.system", "k")], Some("k")),
            (Messaging, &[("http.method", "GET")], None),
            (Other, &[("http.method", "GET")], None),
        ];
        for (kind, attributes, name) in cases {
            assert_eq!(conventional(*kind, attributes).as_deref(), *name, "{kind:?} {attributes:?}");
        }
    }
}
