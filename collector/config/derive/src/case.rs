//! Serde's `rename_all`.

use syn::{Error, LitStr};

/// How names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    /// As in the source.
    #[default]
    AsIs,
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
}

impl Case {
    pub(crate) fn read(name: &LitStr) -> syn::Result<Case> {
        Ok(match name.value().as_str() {
            "lowercase" => Case::Lower,
            "UPPERCASE" => Case::Upper,
            "PascalCase" => Case::Pascal,
            "camelCase" => Case::Camel,
            "snake_case" => Case::Snake,
            "SCREAMING_SNAKE_CASE" => Case::ScreamingSnake,
            "kebab-case" => Case::Kebab,
            _ => return Err(Error::new_spanned(name, "this case is not known to `Described`")),
        })
    }

    /// A variant's name, which is in Pascal case.
    pub(crate) fn of_variant(self, name: &str) -> String {
        match self {
            Case::AsIs | Case::Pascal => name.to_owned(),
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
            Case::Camel => name[..1].to_lowercase() + &name[1..],
            Case::Snake => snake(name),
            Case::ScreamingSnake => snake(name).to_uppercase(),
            Case::Kebab => snake(name).replace('_', "-"),
        }
    }

    /// A field's name, which is in snake case.
    pub(crate) fn of_field(self, name: &str) -> String {
        match self {
            Case::AsIs | Case::Lower | Case::Snake => name.to_owned(),
            Case::Upper | Case::ScreamingSnake => name.to_uppercase(),
            Case::Kebab => name.replace('_', "-"),
            Case::Pascal => pascal(name),
            Case::Camel => {
                let pascal = pascal(name);
                pascal[..1].to_lowercase() + &pascal[1..]
            }
        }
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.char_indices() {
        if index > 0 && c.is_uppercase() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn pascal(name: &str) -> String {
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}
