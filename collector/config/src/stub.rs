#![allow(missing_docs)]
use crate::*;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Receiver,
    Processor,
    Exporter,
    Connector,
    Extension,
}
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("k")
    }
}
impl Kind {
    pub fn section(self) -> &'static str {
        "receivers"
    }
}
pub enum Known {
    Canonical,
    Alias(&'static str),
    Removed(&'static str),
    Unknown,
}
pub trait Catalog {
    fn known(&self, kind: Kind, type_name: &str) -> Known;
    fn types(&self, kind: Kind) -> Vec<&str>;
}
pub struct Config;
pub struct Pipe;
impl Pipe {
    pub fn id(&self) -> &PipelineId {
        todo!()
    }
    pub fn receivers(&self) -> &[ComponentId] {
        todo!()
    }
    pub fn processors(&self) -> &[ComponentId] {
        todo!()
    }
    pub fn exporters(&self) -> &[ComponentId] {
        todo!()
    }
}
pub struct Section;
impl Section {
    pub fn node(&self) -> &Node {
        todo!()
    }
}
impl Config {
    pub fn components(&self) -> impl Iterator<Item = (Kind, &ComponentId, &Section)> {
        std::iter::empty()
    }
    pub fn pipelines(&self) -> impl Iterator<Item = &Pipe> {
        std::iter::empty()
    }
    pub fn extensions(&self) -> &[ComponentId] {
        todo!()
    }
    pub fn has(&self, _: Kind, _: &ComponentId) -> bool {
        todo!()
    }
}
impl Problems {
    pub fn component<T>(&mut self, _: &Section, _: impl FnOnce(&mut Problems) -> Option<T>) -> Option<T> {
        todo!()
    }
}
