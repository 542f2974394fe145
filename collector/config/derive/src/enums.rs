//! Words, and sections of which one is chosen.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, Error, Fields, Ident, Variant};

use crate::attributes::{Container, Item};
use crate::structs;

pub(crate) fn expand(ident: &Ident, container: &Container, data: &DataEnum) -> syn::Result<TokenStream> {
    let only_words = data.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    let shape = match &container.tag {
        _ if container.untagged => any_of(data)?,
        Some(tag) => {
            let variants = tagged(container, data)?;
            let (name, docs) = (ident.to_string(), &container.docs);
            quote!(::phoenix_config::Shape::tagged(#name, #docs, #tag, ::std::vec![#(#variants),*]))
        }
        None if only_words => words(container, data)?,
        None => one_of(container, data)?,
    };
    let written = if only_words && container.tag.is_none() && !container.untagged {
        let mut arms = Vec::new();
        for variant in &data.variants {
            let item = Item::read(&variant.attrs)?;
            let name = item.name(&variant.ident, |name| container.case.of_variant(name));
            let variant = &variant.ident;
            arms.push(quote!(#ident::#variant => #name));
        }
        quote!(::core::option::Option::Some(::phoenix_config::Written::from(match self { #(#arms),* })))
    } else {
        quote!(::core::option::Option::None)
    };
    Ok(quote! {
        impl ::phoenix_config::Described for #ident {
            fn shape() -> ::phoenix_config::Shape {
                #shape
            }

            fn written(&self) -> ::core::option::Option<::phoenix_config::Written> {
                #written
            }
        }
    })
}

fn words(container: &Container, data: &DataEnum) -> syn::Result<TokenStream> {
    let mut words = Vec::new();
    for variant in &data.variants {
        let item = Item::read(&variant.attrs)?;
        if !item.skip {
            words.push(word(container, variant, &item));
        }
    }
    let any_case = container.any_case;
    Ok(quote!(::phoenix_config::Shape::Words {
        words: ::std::vec![#(#words),*],
        any_case: #any_case,
    }))
}

fn word(container: &Container, variant: &Variant, item: &Item) -> TokenStream {
    let name = item.name(&variant.ident, |name| container.case.of_variant(name));
    let (docs, aliases) = (&item.docs, &item.aliases);
    quote!(::phoenix_config::Word::new(#name, #docs, &[#(#aliases),*]))
}

/// The keys of a variant's content, as a section's shape.
fn content(container: &Container, variant: &Variant, item: &Item) -> syn::Result<TokenStream> {
    let (name, docs, closed) = (variant.ident.to_string(), &item.docs, container.closed);
    Ok(match &variant.fields {
        Fields::Unit => {
            quote!(::phoenix_config::Shape::Section(
                ::phoenix_config::Section::new(#name, #docs, #closed, ::std::vec![])
            ))
        }
        Fields::Named(fields) => {
            let keys = structs::keys(&fields.named, container.fields_case, None)?;
            quote!(::phoenix_config::Shape::Section(
                ::phoenix_config::Section::new(#name, #docs, #closed, ::std::vec![#(#keys),*])
            ))
        }
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            let inner = &fields.unnamed[0].ty;
            quote!(<#inner as ::phoenix_config::Described>::shape())
        }
        Fields::Unnamed(_) => return Err(Error::new_spanned(variant, "a tuple has no settings")),
    })
}

fn tagged(container: &Container, data: &DataEnum) -> syn::Result<Vec<TokenStream>> {
    let mut variants = Vec::new();
    for variant in &data.variants {
        let item = Item::read(&variant.attrs)?;
        let (word, content) = (word(container, variant, &item), content(container, variant, &item)?);
        variants.push(quote!((#word, #content)));
    }
    Ok(variants)
}

/// A word, or a map of one word to its content.
fn one_of(container: &Container, data: &DataEnum) -> syn::Result<TokenStream> {
    let mut choices = Vec::new();
    for variant in &data.variants {
        let item = Item::read(&variant.attrs)?;
        if let Fields::Unit = variant.fields {
            let word = word(container, variant, &item);
            choices
                .push(quote!(::phoenix_config::Shape::Words { words: ::std::vec![#word], any_case: false }));
            continue;
        }
        let name = item.name(&variant.ident, |name| container.case.of_variant(name));
        let (docs, content) = (&item.docs, content(container, variant, &item)?);
        choices.push(quote!(::phoenix_config::Shape::Section(::phoenix_config::Section::new(
            #name,
            #docs,
            true,
            ::std::vec![::phoenix_config::Key::new(#name, #content, #docs).required()],
        ))));
    }
    Ok(quote!(::phoenix_config::Shape::OneOf(::std::vec![#(#choices),*])))
}

fn any_of(data: &DataEnum) -> syn::Result<TokenStream> {
    let mut choices = Vec::new();
    for variant in &data.variants {
        match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let inner = &fields.unnamed[0].ty;
                choices.push(quote!(<#inner as ::phoenix_config::Described>::shape()));
            }
            _ => return Err(Error::new_spanned(variant, "an untagged variant holds one type")),
        }
    }
    Ok(quote!(::phoenix_config::Shape::OneOf(::std::vec![#(#choices),*])))
}
