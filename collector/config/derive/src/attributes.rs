//! The attributes of types, fields and variants.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, LitStr, Meta, Token};

use crate::case::Case;

/// The doc comment as an expression for its text, a paragraph a line.
pub(crate) fn docs(attributes: &[Attribute]) -> TokenStream {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(&pair.value),
        _ => None,
    });
    quote!(&[#(#lines),*])
}

/// Of a type.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) docs: TokenStream,
    pub(crate) default: bool,
    pub(crate) closed: bool,
    pub(crate) case: Case,
    pub(crate) fields_case: Case,
    pub(crate) tag: Option<LitStr>,
    pub(crate) untagged: bool,
    pub(crate) any_case: bool,
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Container> {
        let mut container = Container { docs: docs(attributes), ..Container::default() };
        for attribute in attributes {
            if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| container.serde(&meta))?;
            } else if attribute.path().is_ident("described") {
                attribute.parse_nested_meta(|meta| container.described(&meta))?;
            }
        }
        Ok(container)
    }

    fn serde(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let path = &meta.path;
        if path.is_ident("default") && !meta.input.peek(Token![=]) {
            self.default = true;
        } else if path.is_ident("deny_unknown_fields") {
            self.closed = true;
        } else if path.is_ident("rename_all") {
            self.case = Case::read(&meta.value()?.parse()?)?;
        } else if path.is_ident("rename_all_fields") {
            self.fields_case = Case::read(&meta.value()?.parse()?)?;
        } else if path.is_ident("tag") {
            self.tag = Some(meta.value()?.parse()?);
        } else if path.is_ident("untagged") {
            self.untagged = true;
        } else if ["try_from", "from", "expecting", "remote"].iter().any(|name| path.is_ident(name)) {
            let _: LitStr = meta.value()?.parse()?;
        } else {
            return Err(meta.error("`Described` does not know what this does to the settings"));
        }
        Ok(())
    }

    fn described(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("rename_all") {
            self.case = Case::read(&meta.value()?.parse()?)?;
        } else if meta.path.is_ident("any_case") {
            self.any_case = true;
        } else {
            return Err(meta.error("one of `rename_all`, `any_case`"));
        }
        Ok(())
    }
}

/// Of a field or a variant.
#[derive(Default)]
pub(crate) struct Item {
    pub(crate) docs: TokenStream,
    pub(crate) rename: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) has_default: bool,
    pub(crate) skip: bool,
    pub(crate) required: bool,
    pub(crate) min: Option<Expr>,
    pub(crate) max: Option<Expr>,
    pub(crate) words: Vec<Expr>,
    pub(crate) shape: Option<Expr>,
    pub(crate) unsupported: Option<Expr>,
    pub(crate) names: Option<Expr>,
    pub(crate) no_effect: Option<Expr>,
    pub(crate) deprecated: Option<Expr>,
}

impl Item {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Item> {
        let mut item = Item { docs: docs(attributes), ..Item::default() };
        for attribute in attributes {
            if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| item.serde(&meta))?;
            } else if attribute.path().is_ident("described") {
                attribute.parse_nested_meta(|meta| item.described(&meta))?;
            }
        }
        Ok(item)
    }

    /// The name in configurations.
    pub(crate) fn name(&self, ident: &Ident, rename: impl FnOnce(&str) -> String) -> String {
        let ident = ident.to_string();
        match &self.rename {
            Some(name) => name.value(),
            None => rename(ident.trim_start_matches("r#")),
        }
    }

    fn serde(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let path = &meta.path;
        if path.is_ident("rename") {
            self.rename = Some(meta.value()?.parse()?);
        } else if path.is_ident("alias") {
            self.aliases.push(meta.value()?.parse()?);
        } else if path.is_ident("default") {
            self.has_default = true;
            if meta.input.peek(Token![=]) {
                let _: LitStr = meta.value()?.parse()?;
            }
        } else if path.is_ident("skip") || path.is_ident("skip_deserializing") {
            self.skip = true;
        } else if path.is_ident("deserialize_with") || path.is_ident("with") {
            let _: LitStr = meta.value()?.parse()?;
        } else {
            return Err(meta.error("`Described` does not know what this does to the settings"));
        }
        Ok(())
    }

    fn described(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let path = &meta.path;
        let slot = [
            ("min", &mut self.min),
            ("max", &mut self.max),
            ("shape", &mut self.shape),
            ("names", &mut self.names),
            ("unsupported", &mut self.unsupported),
            ("no_effect", &mut self.no_effect),
            ("deprecated", &mut self.deprecated),
        ]
        .into_iter()
        .find(|(name, _)| path.is_ident(name));
        if let Some((_, slot)) = slot {
            *slot = Some(meta.value()?.parse()?);
        } else if path.is_ident("required") {
            self.required = true;
        } else if path.is_ident("skip") {
            self.skip = true;
        } else if path.is_ident("words") {
            let inside;
            syn::parenthesized!(inside in meta.input);
            self.words.extend(Punctuated::<Expr, Token![,]>::parse_terminated(&inside)?);
        } else {
            return Err(Error::new_spanned(path, "`Described` does not know this"));
        }
        Ok(())
    }
}
