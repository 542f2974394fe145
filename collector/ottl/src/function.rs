//! How functions are declared: their name, their parameters, and what they do.
//!
//! A family of functions is a table, and the sets that components offer are made of tables. See the
//! README of this crate for how to add one.

mod call;
mod parameter;

use std::fmt;

use crate::{Contexts, EvalError, Value};

pub use call::{Call, Edit, Literals};
pub use parameter::{Default, Kind, Parameter};

/// A function of the language.
#[derive(Clone, Copy)]
pub struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) contexts: Contexts,
    pub(crate) body: Body,
}

/// A converter that was prepared for one call in a statement.
pub type Prepared =
    Box<dyn for<'c, 'a> Fn(&Call<'c, 'a>) -> Result<Value<'a>, EvalError> + Send + Sync + 'static>;

/// An editor that was prepared for one call in a statement.
pub type PreparedEditor =
    Box<dyn for<'c, 'a> Fn(&mut Edit<'c, 'a>) -> Result<(), EvalError> + Send + Sync + 'static>;

#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// Evaluated with its arguments.
    Converter(for<'c, 'a> fn(&Call<'c, 'a>) -> Result<Value<'a>, EvalError>),
    /// Looks at its literal arguments once, then evaluated.
    Prepared(fn(&Literals<'_>) -> Result<Prepared, String>),
    /// Changes the record.
    Editor(for<'c, 'a> fn(&mut Edit<'c, 'a>) -> Result<(), EvalError>),
    /// Looks at its literal arguments once, then changes the record.
    PreparedEditor(fn(&Literals<'_>) -> Result<PreparedEditor, String>),
    /// Known to the compiler.
    Native(crate::native::Native),
}

impl Function {
    /// A converter that has nothing to prepare.
    pub const fn converter(
        name: &'static str,
        parameters: &'static [Parameter],
        body: for<'c, 'a> fn(&Call<'c, 'a>) -> Result<Value<'a>, EvalError>,
    ) -> Function {
        Function { name, parameters, contexts: Contexts::ALL, body: Body::Converter(body) }
    }

    /// A converter that looks at its literal arguments when the statement is compiled: to refuse bad ones,
    /// and to keep what it makes of good ones. The error says what is wrong, without the function's name.
    pub const fn prepared(
        name: &'static str,
        parameters: &'static [Parameter],
        prepare: fn(&Literals<'_>) -> Result<Prepared, String>,
    ) -> Function {
        Function { name, parameters, contexts: Contexts::ALL, body: Body::Prepared(prepare) }
    }

    /// An editor that has nothing to prepare.
    pub const fn editor(
        name: &'static str,
        parameters: &'static [Parameter],
        body: for<'c, 'a> fn(&mut Edit<'c, 'a>) -> Result<(), EvalError>,
    ) -> Function {
        Function { name, parameters, contexts: Contexts::ALL, body: Body::Editor(body) }
    }

    /// An editor that looks at its literal arguments when the statement is compiled.
    pub const fn prepared_editor(
        name: &'static str,
        parameters: &'static [Parameter],
        prepare: fn(&Literals<'_>) -> Result<PreparedEditor, String>,
    ) -> Function {
        Function { name, parameters, contexts: Contexts::ALL, body: Body::PreparedEditor(prepare) }
    }

    pub(crate) const fn native(
        name: &'static str,
        parameters: &'static [Parameter],
        native: crate::native::Native,
    ) -> Function {
        Function { name, parameters, contexts: Contexts::ALL, body: Body::Native(native) }
    }

    /// The same function, known to statements of these contexts alone.
    pub const fn only_in(mut self, contexts: Contexts) -> Function {
        self.contexts = contexts;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How it is called: `Trim(target, [replacement])`.
    pub fn signature(&self) -> String {
        let parameters: Vec<_> = self
            .parameters
            .iter()
            .map(|parameter| match parameter.is_required() {
                true => parameter.name().to_owned(),
                false => format!("[{}]", parameter.name()),
            })
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signature())
    }
}

/// Tables of functions that belong together.
pub type Family = &'static [&'static [Function]];

/// The functions that a component offers.
#[derive(Clone, Copy, Debug)]
pub struct FunctionSet {
    families: &'static [Family],
}

impl FunctionSet {
    /// A set of families. Of two functions with one name the first counts.
    pub const fn new(families: &'static [Family]) -> FunctionSet {
        FunctionSet { families }
    }

    /// All functions of the set.
    pub fn iter(&self) -> impl Iterator<Item = &'static Function> + use<> {
        self.families.iter().flat_map(|family| family.iter().flat_map(|table| table.iter()))
    }

    /// The function with this name, where statements of the context know it.
    pub(crate) fn get(&self, name: &str, context: crate::Context) -> Option<&'static Function> {
        self.iter().find(|function| function.name == name && function.contexts.contains(context))
    }
}
