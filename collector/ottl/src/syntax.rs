//! The grammar: text to a tree, with the place of each part.

pub(crate) mod ast;
mod lexer;
mod parser;
mod text;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use parser::parse_value;
pub(crate) use parser::{parse_condition, parse_statement};
