//! One source over another: maps by key, anything else replaced, unless the later source says how.
//!
//! A tag on a value of the later source says that it is no replacement (`!append [debug]`, and what else
//! [`Operator`] has). YAML readers that know nothing of these tags see plain lists, so nothing else changes its meaning.

#[cfg(test)]
mod tests;

use crate::node::{Entry, Map, Node, Value};
use crate::path::KeyPath;
use crate::problems::{Problems, Severity};
use crate::source::Location;
use crate::suggest::nearest;
use std::collections::HashMap;

/// What a tag makes of the value that it stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Items that come after those of earlier sources.
    Append,
    /// Items that come before them.
    Prepend,
    /// Items that earlier sources have and that are not wanted; with nothing behind it, the whole key.
    Remove,
    /// Several changes of one list, by name.
    Edit,
    /// A map that replaces the earlier one instead of adding to it.
    Replace,
}

impl Operator {
    pub(crate) const NAMES: [&'static str; 5] = ["append", "prepend", "remove", "edit", "replace"];

    pub(crate) fn from_name(name: &str) -> Option<Operator> {
        Some(match name {
            "append" => Operator::Append,
            "prepend" => Operator::Prepend,
            "remove" => Operator::Remove,
            "edit" => Operator::Edit,
            "replace" => Operator::Replace,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        Operator::NAMES[self as usize]
    }
}

/// The keys of `!edit`, in the order in which they take effect.
const EDIT_KEYS: [&str; 5] = ["remove", "before", "after", "prepend", "append"];

/// Most items of a list that is edited by name, old and new: each is compared with each.
const MAX_ITEMS: usize = 10_000;

/// Merges sources.
pub(crate) struct Merger<'p> {
    pub(crate) problems: &'p mut Problems,
    /// Lists of components under `service` are added to, as otelcol's gate `confmap.enableMergeAppendOption` has it.
    pub(crate) append_service_lists: bool,
    /// Operators are kept for later: both sides are of the same source.
    pub(crate) keeps_operators: bool,
    pub(crate) path: KeyPath,
}

impl<'p> Merger<'p> {
    pub(crate) fn new(problems: &'p mut Problems) -> Merger<'p> {
        Merger { problems, append_service_lists: false, keeps_operators: false, path: KeyPath::root() }
    }

    /// `later` over `earlier`; both are maps.
    pub(crate) fn roots(&mut self, earlier: Node, later: Node) -> Node {
        self.merge(Some(earlier), later).unwrap_or_default()
    }

    /// `None` if the key is to go.
    fn merge(&mut self, earlier: Option<Node>, later: Node) -> Option<Node> {
        match later.operator().filter(|_| !self.keeps_operators) {
            None => Some(self.plainly(earlier, later)),
            Some(Operator::Replace) => Some(self.settled(later.without_operator())),
            Some(Operator::Remove) if later.is_null() => {
                if earlier.is_none() {
                    self.warn(later.location(), "there is no such key to remove".into(), None);
                }
                None
            }
            Some(operator) => Some(self.edited(operator, earlier, later)),
        }
    }

    fn plainly(&mut self, earlier: Option<Node>, later: Node) -> Node {
        let Some(earlier) = earlier else { return self.settled(later) };
        if let (Value::Map(ours), Value::Map(theirs)) = (earlier.value(), later.value()) {
            let location = if earlier.location().is_known() { earlier.location() } else { later.location() };
            let location = location.clone();
            return Node::new(Value::Map(self.maps(ours, theirs)), location);
        }
        if earlier.as_map().is_some_and(|map| !map.is_empty()) && later.is_null() {
            let message = format!("replaces the map written at {} with nothing", earlier.location());
            let help =
                "write `{}` to keep what earlier sources say, `!replace {}` if nothing is meant".to_owned();
            self.warn(later.location(), message, Some(help));
        }
        if self.append_service_lists
            && self.is_service_list()
            && let (Value::List(_), Value::List(_)) = (earlier.value(), later.value())
        {
            return self.edited(Operator::Append, Some(earlier), later);
        }
        self.settled(later)
    }

    fn maps(&mut self, ours: &Map, theirs: &Map) -> Map {
        let mut entries: Vec<Option<Entry>> = ours.entries().iter().cloned().map(Some).collect();
        let place: HashMap<_, _> =
            ours.entries().iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
        for entry in theirs.entries() {
            let index = place.get(&entry.key).copied();
            let old = index.and_then(|index| entries[index].take());
            let depth = self.path.len();
            self.path.push(entry.key.clone());
            let key_location = old.as_ref().map(|old| old.key_location.clone());
            let new = self.merge(old.map(|old| old.value), entry.value.clone());
            self.path.truncate(depth);
            let Some(value) = new else { continue };
            let key_location = key_location.filter(|_| value.as_map().is_some());
            let key_location = key_location.unwrap_or_else(|| entry.key_location.clone());
            let new = Some(Entry { key: entry.key.clone(), key_location, value });
            match index {
                Some(index) => entries[index] = new,
                None => entries.push(new),
            }
        }
        Map::new(entries.into_iter().flatten().collect())
    }

    /// A value that nothing stands before: operators inside it have nothing to change.
    fn settled(&mut self, node: Node) -> Node {
        if self.keeps_operators || !has_operator(&node) {
            return node;
        }
        match node.value() {
            Value::Map(map) => {
                let map = self.maps(&Map::default(), map);
                Node::new(Value::Map(map), node.location().clone())
            }
            Value::List(items) => {
                for item in items.iter() {
                    self.refuse_operators(item);
                }
                node
            }
            _ => node,
        }
    }

    /// Lists are edited as a whole, never an item of them.
    fn refuse_operators(&mut self, node: &Node) {
        if let Some(operator) = node.operator() {
            let message = format!("`!{}` cannot stand inside a list", operator.name());
            let help = "lists are replaced, or edited as a whole".to_owned();
            self.error(node.location(), message, Some(help));
        }
        match node.value() {
            Value::List(items) => items.iter().for_each(|item| self.refuse_operators(item)),
            Value::Map(map) => map.entries().iter().for_each(|entry| self.refuse_operators(&entry.value)),
            _ => {}
        }
    }

    fn edited(&mut self, operator: Operator, earlier: Option<Node>, later: Node) -> Node {
        let Some(mut items) = self.items_of_earlier(operator, earlier.as_ref(), &later) else {
            return later.without_operator();
        };
        if operator == Operator::Edit {
            self.edits(&later, &mut items);
        } else if let Some(changes) = self.items(&later, operator.name()) {
            self.change(operator, changes, &mut items);
        }
        let place = earlier.filter(|earlier| earlier.location().is_known() && !earlier.is_null());
        let location = place.as_ref().unwrap_or(&later).location().clone();
        Node::new(Value::List(items.into()), location)
    }

    fn items_of_earlier(
        &mut self,
        operator: Operator,
        earlier: Option<&Node>,
        later: &Node,
    ) -> Option<Vec<Node>> {
        let Some(earlier) = earlier else { return Some(Vec::new()) };
        let (found, help) = match earlier.value() {
            Value::Null => return Some(Vec::new()),
            Value::List(items) => return Some(items.to_vec()),
            Value::String(text) if !text.contains("${") => return Some(split(text, earlier.location())),
            Value::String(_) => {
                ("a `${…}`".to_owned(), "write the list out, or put the `${…}` into the list: `['${…}']`")
            }
            _ => (earlier.describe(), "these tags are for lists"),
        };
        let name = operator.name();
        let message = format!("`!{name}` changes a list, found {found} at {}", earlier.location());
        self.error(later.location(), message, Some(help.to_owned()));
        None
    }

    /// The items that an operator is given: a list, or a text with commas.
    fn items(&mut self, node: &Node, name: &str) -> Option<Vec<Node>> {
        match node.value() {
            Value::List(items) => {
                for item in items.iter() {
                    self.refuse_operators(item);
                }
                Some(items.to_vec())
            }
            Value::String(text) => Some(split(text, node.location())),
            _ => {
                let message = format!("`{name}` takes a list, found {}", node.describe());
                self.error(node.location(), message, Some(format!("write `!{name} [item]`")));
                None
            }
        }
    }

    fn change(&mut self, operator: Operator, changes: Vec<Node>, items: &mut Vec<Node>) {
        if !self.is_short_enough(&changes, items) {
            return;
        }
        match operator {
            Operator::Remove => {
                for unwanted in changes {
                    let before = items.len();
                    items.retain(|item| *item != unwanted);
                    if items.len() == before {
                        let message = format!("there is no {} to remove", self.named(&unwanted));
                        let help = self.help_for_item(&unwanted, items);
                        self.warn(unwanted.location(), message, help);
                    }
                }
            }
            Operator::Prepend => insert(items, 0, changes),
            _ => insert(items, items.len(), changes),
        }
    }

    fn edits(&mut self, node: &Node, items: &mut Vec<Node>) {
        let Value::Map(map) = node.value() else {
            let message = format!("`!edit` takes a map, found {}", node.describe());
            let help = format!("its keys are {}", EDIT_KEYS.join(", "));
            self.error(node.location(), message, Some(help));
            return;
        };
        for entry in map.entries() {
            if !EDIT_KEYS.contains(&&*entry.key) {
                let help = match nearest(&entry.key, EDIT_KEYS) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the keys of `!edit` are {}", EDIT_KEYS.join(", ")),
                };
                self.error(&entry.key_location, format!("unknown key `{}`", entry.key), Some(help));
            }
        }
        for key in EDIT_KEYS {
            let Some(value) = map.get(key) else { continue };
            match key {
                "before" | "after" => self.beside(key, value, items),
                _ => {
                    let operator = Operator::from_name(key).unwrap_or(Operator::Append);
                    if let Some(changes) = self.items(value, key) {
                        self.change(operator, changes, items);
                    }
                }
            }
        }
    }

    /// `before: {batch: [filter]}`.
    fn beside(&mut self, key: &str, value: &Node, items: &mut Vec<Node>) {
        let Value::Map(map) = value.value() else {
            let message = format!("`{key}` takes a map of items to lists, found {}", value.describe());
            self.error(value.location(), message, Some(format!("for example `{key}: {{batch: [filter]}}`")));
            return;
        };
        for entry in map.entries() {
            let Some(changes) = self.items(&entry.value, key) else { continue };
            if !self.is_short_enough(&changes, items) {
                continue;
            }
            let anchor = Node::new(Value::String(entry.key.clone()), entry.key_location.clone());
            let Some(place) = items.iter().position(|item| *item == anchor) else {
                let message = format!("there is no {} in the list", self.named(&anchor));
                let help = self.help_for_item(&anchor, items);
                self.error(anchor.location(), message, help);
                continue;
            };
            insert(items, if key == "after" { place + 1 } else { place }, changes);
        }
    }

    fn is_short_enough(&mut self, changes: &[Node], items: &[Node]) -> bool {
        let fits = items.len() + changes.len() <= MAX_ITEMS;
        if let (false, Some(first)) = (fits, changes.first()) {
            let message = format!("a list of more than {MAX_ITEMS} items cannot be edited by name");
            self.error(first.location(), message, Some("write it out in one source".into()));
        }
        fits
    }

    /// An item in words. Only names of components are shown: others may be secrets.
    fn named(&self, item: &Node) -> String {
        match item.value() {
            Value::String(text) if self.is_in_service() => format!("`{text}`"),
            _ => "such item".into(),
        }
    }

    fn help_for_item(&self, item: &Node, items: &[Node]) -> Option<String> {
        if !self.is_in_service() {
            return None;
        }
        let known: Vec<&str> = items.iter().filter_map(Node::as_text).collect();
        let meant = item.as_text().and_then(|text| nearest(text, known.iter().copied()));
        Some(match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "the list is empty".into(),
            None => format!("the list has {}", known.join(", ")),
        })
    }

    fn is_in_service(&self) -> bool {
        self.path.keys().next() == Some("service")
    }

    fn is_service_list(&self) -> bool {
        let last = self.path.last();
        self.is_in_service()
            && (matches!(last, Some("receivers" | "exporters"))
                || self.path.len() == 2 && last == Some("extensions"))
    }

    fn error(&mut self, location: &Location, message: String, help: Option<String>) {
        self.problems.push_at(Severity::Error, self.path.clone(), location.clone(), message, help);
    }

    fn warn(&mut self, location: &Location, message: String, help: Option<String>) {
        self.problems.push_at(Severity::Warning, self.path.clone(), location.clone(), message, help);
    }
}

/// Adds at `place` what is not there yet, so that the same overlay twice is the same as once.
fn insert(items: &mut Vec<Node>, place: usize, changes: Vec<Node>) {
    let mut place = place;
    for item in changes {
        if !items.contains(&item) {
            items.insert(place, item);
            place += 1;
        }
    }
}

fn split(text: &str, location: &Location) -> Vec<Node> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| Node::new(Value::String(part.into()), location.clone())).collect()
}

/// Whether an operator stands anywhere in a tree.
pub(crate) fn has_operator(node: &Node) -> bool {
    node.operator().is_some()
        || match node.value() {
            Value::List(items) => items.iter().any(has_operator),
            Value::Map(map) => map.entries().iter().any(|entry| has_operator(&entry.value)),
            _ => false,
        }
}
