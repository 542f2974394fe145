//! Sections of settings.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Error, Field, FieldsUnnamed, Ident, Token};

use crate::attributes::{Container, Item};
use crate::case::Case;

/// The keys of some fields. `defaults` is the value whose fields are the defaults, where there is one.
pub(crate) fn keys(
    fields: &Punctuated<Field, Token![,]>,
    case: Case,
    defaults: Option<&TokenStream>,
) -> syn::Result<Vec<TokenStream>> {
    let mut keys = Vec::new();
    for field in fields {
        let item = Item::read(&field.attrs)?;
        let Some(ident) = field.ident.as_ref().filter(|_| !item.skip) else { continue };
        keys.push(key(field, ident, &item, case, defaults));
    }
    Ok(keys)
}

fn key(field: &Field, ident: &Ident, item: &Item, case: Case, defaults: Option<&TokenStream>) -> TokenStream {
    let name = item.name(ident, |name| case.of_field(name));
    let (docs, kind) = (&item.docs, &field.ty);
    let mut shape = match (&item.shape, item.words.as_slice()) {
        (Some(shape), _) => quote!(#shape),
        (None, []) => quote!(<#kind as ::phoenix_config::Described>::shape()),
        (None, words) => quote!(::phoenix_config::Shape::words(&[#(#words),*])),
    };
    if let Some(min) = &item.min {
        shape = quote!(#shape.at_least(#min));
    }
    if let Some(max) = &item.max {
        shape = quote!(#shape.at_most(#max));
    }
    let mut key = quote!(::phoenix_config::Key::new(#name, #shape, #docs));
    match defaults {
        Some(value) => {
            key = quote!(#key.with_default(::phoenix_config::Described::written(&#value.#ident)));
        }
        None if !item.has_default => key = quote!(#key.required_unless_optional()),
        None => {}
    }
    for alias in &item.aliases {
        key = quote!(#key.alias(#alias));
    }
    if item.required {
        key = quote!(#key.required());
    }
    for (method, reason) in [
        (quote!(naming), &item.names),
        (quote!(unsupported), &item.unsupported),
        (quote!(no_effect), &item.no_effect),
        (quote!(deprecated), &item.deprecated),
    ] {
        if let Some(reason) = reason {
            key = quote!(#key.#method(#reason));
        }
    }
    key
}

pub(crate) fn expand(
    ident: &Ident,
    container: &Container,
    fields: &Punctuated<Field, Token![,]>,
) -> syn::Result<TokenStream> {
    let defaults = quote!(defaults);
    let keys = keys(fields, container.case, container.default.then_some(&defaults))?;
    let make_defaults = (container.default && !keys.is_empty())
        .then(|| quote!(let defaults = <#ident as ::core::default::Default>::default();));
    let mut written = Vec::new();
    for field in fields {
        let item = Item::read(&field.attrs)?;
        let Some(field_ident) = field.ident.as_ref().filter(|_| !item.skip) else { continue };
        let name = item.name(field_ident, |name| container.case.of_field(name));
        written.push(quote!((#name, ::phoenix_config::Described::written(&self.#field_ident))));
    }
    let (name, docs, closed) = (ident.to_string(), &container.docs, container.closed);
    Ok(quote! {
        impl ::phoenix_config::Described for #ident {
            fn shape() -> ::phoenix_config::Shape {
                #make_defaults
                let keys = ::std::vec![#(#keys),*];
                ::phoenix_config::Shape::Section(::phoenix_config::Section::new(#name, #docs, #closed, keys))
            }

            fn written(&self) -> ::core::option::Option<::phoenix_config::Written> {
                ::phoenix_config::written_section([#(#written),*])
            }
        }
    })
}

/// A type around one other, which is written as that.
pub(crate) fn newtype(ident: &Ident, fields: &FieldsUnnamed) -> syn::Result<TokenStream> {
    let mut types = fields.unnamed.iter().map(|field| &field.ty);
    let (Some(inner), None) = (types.next(), types.next()) else {
        return Err(Error::new_spanned(ident, "a tuple has no settings"));
    };
    Ok(quote! {
        impl ::phoenix_config::Described for #ident {
            fn shape() -> ::phoenix_config::Shape {
                <#inner as ::phoenix_config::Described>::shape()
            }

            fn written(&self) -> ::core::option::Option<::phoenix_config::Written> {
                ::phoenix_config::Described::written(&self.0)
            }
        }
    })
}
