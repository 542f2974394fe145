mod settings;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::SocketAddr;

use phoenix_component::ClientInfo;
use phoenix_pdata::Rewriter;
use phoenix_pdata::view::AnyValue;
use phoenix_pdata::wire::Field;
use phoenix_pdata::write::{put_bytes, put_message};

pub use settings::{ActionKind, ActionSettings, Target, validate_actions};

use crate::list::{Body, List, edit};
use crate::literal::Literal;
use crate::pattern::{Pattern, PatternError};
use crate::value;

/// Actions on attributes, made ready.
#[derive(Debug)]
pub struct Actions(Vec<Action>);

#[derive(Debug)]
enum Action {
    Set {
        key: Vec<u8>,
        how: How,
        source: Source,
    },
    /// An empty key means none.
    Delete {
        key: Vec<u8>,
        pattern: Option<Pattern>,
    },
    Hash {
        key: Vec<u8>,
        pattern: Option<Pattern>,
    },
    Extract {
        key: Vec<u8>,
        pattern: Pattern,
        names: Vec<Vec<u8>>,
    },
    Convert {
        key: Vec<u8>,
        to: Target,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Insert,
    Update,
    Upsert,
}

/// Where a value comes from. What is known beforehand is the body of the whole attribute.
#[derive(Debug)]
enum Source {
    Value(Vec<u8>),
    Attribute { key: Vec<u8>, otherwise: Option<Vec<u8>> },
    Context { what: Context, otherwise: Option<Vec<u8>> },
}

#[derive(Debug)]
enum Context {
    Address,
    Metadata(String),
    /// An attribute that an authenticator has found.
    Auth(String),
}

impl Actions {
    /// Makes actions ready whose settings are valid.
    ///
    /// # Errors
    /// A pattern that is no regular expression.
    pub fn new(settings: &[ActionSettings]) -> Result<Actions, PatternError> {
        settings
            .iter()
            .filter_map(|settings| Action::new(settings).transpose())
            .collect::<Result<_, _>>()
            .map(Actions)
    }

    /// Changes the attributes of the message that a field holds; `number` is the number of its attributes.
    /// `list` is room to work in, of one request.
    #[inline]
    pub fn apply<'a>(
        &'a self,
        list: &mut List<'a>,
        rewriter: &mut Rewriter<'a>,
        message: &Field<'a>,
        number: u32,
        client: Option<&ClientInfo>,
    ) {
        edit(list, rewriter, message, number, |list| self.run(list, client));
    }

    /// Adds the message with its attributes, where there is none yet, as a field of the message that is open, if the
    /// actions make any attribute.
    pub fn apply_to_none<'a>(
        &'a self,
        list: &mut List<'a>,
        rewriter: &mut Rewriter<'a>,
        field: u32,
        number: u32,
        client: Option<&ClientInfo>,
    ) {
        list.fill(&[], number);
        self.run(list, client);
        if !list.is_empty() {
            rewriter.append(|out| put_message(out, field, |out| list.put_from(0, out, number)));
        }
    }

    fn run<'a>(&'a self, list: &mut List<'a>, client: Option<&ClientInfo>) {
        self.0.iter().for_each(|action| action.run(list, client));
    }
}

/// The body of an attribute.
fn attribute(key: &str, value: &Literal) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, key.as_bytes());
    put_bytes(&mut out, 2, &value.encoded());
    out
}

impl Action {
    fn new(settings: &ActionSettings) -> Result<Option<Action>, PatternError> {
        let key = settings.key.clone().into_bytes();
        let pattern = |text: &str| if text.is_empty() { Ok(None) } else { Pattern::new(text).map(Some) };
        let Some(kind) = settings.action else { return Ok(None) };
        let set = |how| Action::Set { key: key.clone(), how, source: Source::new(settings) };
        Ok(Some(match kind {
            ActionKind::Insert => set(How::Insert),
            ActionKind::Update => set(How::Update),
            ActionKind::Upsert => set(How::Upsert),
            ActionKind::Delete => Action::Delete { key, pattern: pattern(&settings.pattern)? },
            ActionKind::Hash => Action::Hash { key, pattern: pattern(&settings.pattern)? },
            ActionKind::Extract => {
                let pattern = Pattern::new(&settings.pattern)?;
                let names = pattern.group_names().map(|name| name.unwrap_or_default().into()).collect();
                Action::Extract { key, pattern, names }
            }
            ActionKind::Convert => match settings.converted_type {
                Some(to) => Action::Convert { key, to },
                None => return Ok(None),
            },
        }))
    }

    #[inline]
    fn run<'a>(&'a self, list: &mut List<'a>, client: Option<&ClientInfo>) {
        match self {
            Action::Set { key, how, source } => set(list, key, *how, source, client),
            Action::Delete { key, pattern } => {
                if let Some(index) = list.find(key) {
                    list.remove(index);
                }
                if let Some(pattern) = pattern {
                    list.remove_all(|key| pattern.is_match(key));
                }
            }
            Action::Hash { key, pattern } => {
                if let Some(index) = list.find(key) {
                    hash(list, index);
                }
                if let Some(pattern) = pattern {
                    for index in 0..list.len() {
                        if pattern.is_match(list.key(index)) {
                            hash(list, index);
                        }
                    }
                }
            }
            Action::Extract { key, pattern, names } => extract(list, key, pattern, names),
            Action::Convert { key, to } => convert(list, key, *to),
        }
    }
}

impl Source {
    fn new(settings: &ActionSettings) -> Source {
        let made = |value: &Literal| attribute(&settings.key, value);
        let otherwise = settings.default_value.is_given().then(|| made(&settings.default_value));
        if settings.value.is_given() {
            Source::Value(made(&settings.value))
        } else if settings.from_attribute.is_empty() {
            Source::Context { what: Context::new(&settings.from_context), otherwise }
        } else {
            Source::Attribute { key: settings.from_attribute.clone().into_bytes(), otherwise }
        }
    }
}

impl Context {
    fn new(name: &str) -> Context {
        match name {
            "client.address" => Context::Address,
            _ => match name.strip_prefix("auth.") {
                Some(attribute) => Context::Auth(attribute.to_owned()),
                None => Context::Metadata(name.strip_prefix("metadata.").unwrap_or(name).to_owned()),
            },
        }
    }

    fn text(&self, client: Option<&ClientInfo>) -> Option<String> {
        match self {
            // An address that is not known is empty text, as otelcol has it.
            Context::Address => {
                let address = client.and_then(|client| client.address);
                Some(address.as_ref().map(SocketAddr::ip).map(|ip| ip.to_string()).unwrap_or_default())
            }
            Context::Metadata(name) => {
                let values: Vec<&str> = client?.metadata(name).collect();
                (!values.is_empty()).then(|| values.join(";"))
            }
            Context::Auth(name) => client?.auth.as_ref()?.text(name).map(Cow::into_owned),
        }
    }
}

#[inline]
fn set<'a>(list: &mut List<'a>, key: &'a [u8], how: How, source: &'a Source, client: Option<&ClientInfo>) {
    let place = list.find(key);
    if place.is_some() == (how == How::Insert) && how != How::Upsert {
        return;
    }
    let body = match source {
        Source::Value(body) => Some(Body::Ready(body)),
        Source::Attribute { key: from, otherwise } => match list.find(from) {
            Some(from) => Some(list.copy_of(key, from)),
            None => otherwise.as_deref().map(Body::Ready),
        },
        Source::Context { what, otherwise } => match what.text(client) {
            Some(text) => Some(list.make(key, &text.as_str().into())),
            None => otherwise.as_deref().map(Body::Ready),
        },
    };
    match (body, place) {
        (None, _) => {}
        (Some(body), Some(index)) => list.set(index, body),
        (Some(body), None) => list.push(key, body),
    }
}

fn hash(list: &mut List<'_>, index: usize) {
    let digits = value::sha256(&list.value(index));
    let key = list.key(index);
    let body = list.make(key, &AnyValue::String(digits.text()));
    list.set(index, body);
}

fn extract<'a>(list: &mut List<'a>, key: &[u8], pattern: &Pattern, names: &'a [Vec<u8>]) {
    let Some(index) = list.find(key) else { return };
    let AnyValue::String(text) = list.value(index) else { return };
    let Some(captures) = pattern.captures(text.as_bytes()) else { return };
    // The groups by value: the attribute that they are part of may be replaced by one of them.
    let groups: Vec<Vec<u8>> = (1..=names.len())
        .map(|group| captures.get(group).map(|found| found.as_bytes().to_vec()).unwrap_or_default())
        .collect();
    for (name, group) in names.iter().zip(groups) {
        let body = list.make(name, &AnyValue::String(phoenix_pdata::view::Text::new(&group)));
        list.put(name, body);
    }
}

fn convert(list: &mut List<'_>, key: &[u8], to: Target) {
    let Some(index) = list.find(key) else { return };
    let key = list.key(index);
    let value = list.value(index);
    match value::convert(&value, to) {
        value::Converted::Same => {}
        value::Converted::Int(number) => {
            let body = list.make(key, &number.into());
            list.set(index, body);
        }
        value::Converted::Double(number) => {
            let body = list.make(key, &number.into());
            list.set(index, body);
        }
        value::Converted::Text(text) => {
            let body = list.make(key, &AnyValue::String(phoenix_pdata::view::Text::new(&text)));
            list.set(index, body);
        }
        value::Converted::Impossible => {
            tracing::debug!(key = %String::from_utf8_lossy(key), to = ?to, "value cannot be converted");
        }
    }
}
