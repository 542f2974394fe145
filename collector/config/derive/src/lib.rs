//! `#[derive(Described)]`: what a settings type takes, from the same declaration that decodes it.
//!
//! The macro reads serde's attributes, so that names, aliases and strictness cannot differ from what is decoded, and
//! takes the doc comments as descriptions. An attribute of serde that changes the shape and is not understood here is
//! a compile error. What the types cannot say is said in `#[described(…)]`:
//!
//! - on a field: `required`, `min = N`, `max = N`, `words("a", "b")` for a text that is one of these,
//!   `unsupported = "why"`, `no_effect = "why"`, `deprecated = "what instead"`, `shape = expr`, `skip`,
//!   `names = Capability::…` where it names an extension.
//! - on an enum with a `Deserialize` of its own: `rename_all = "…"`, `any_case`, `default = Variant`.

mod attributes;
mod case;
mod enums;
mod structs;

use proc_macro2::TokenStream;
use syn::{Data, DeriveInput, Error, Fields, parse_macro_input};

/// Implements `phoenix_config::Described`.
#[proc_macro_derive(Described, attributes(described, serde))]
pub fn described(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a generic type describes itself by hand"));
    }
    let container = attributes::Container::read(&input.attrs)?;
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structs::expand(&input.ident, &container, &fields.named),
            Fields::Unit => structs::expand(&input.ident, &container, &Default::default()),
            Fields::Unnamed(fields) => structs::newtype(&input.ident, fields),
        },
        Data::Enum(data) => enums::expand(&input.ident, &container, data),
        Data::Union(_) => Err(Error::new_spanned(&input.ident, "a union has no settings")),
    }
}
