//! XML.

use super::{TEXT, new};
use crate::function::{Default, Function, Kind, Literals};
use crate::functions::xml::{self, XPath};

const X_PATH: crate::Parameter = new("x_path", Kind::LiteralString);

pub(super) const TABLE: &[Function] = &[
    Function::converter("ParseXML", &[TEXT], |call| Ok(xml::parse(call.str(0))?.into())),
    Function::converter("ParseSimplifiedXML", &[TEXT], |call| Ok(xml::parse_simplified(call.str(0))?.into())),
    Function::prepared("GetXML", &[TEXT, X_PATH], |literals| {
        let path = path(literals)?;
        Ok(Box::new(move |call| Ok(xml::get(call.str(0), &path)?.into())))
    }),
    Function::prepared("RemoveXML", &[TEXT, X_PATH], |literals| {
        let path = path(literals)?;
        Ok(Box::new(move |call| Ok(xml::remove(call.str(0), &path)?.into())))
    }),
    Function::prepared("InsertXML", &[TEXT, X_PATH, new("sub_document", Kind::String)], |literals| {
        let path = path(literals)?;
        Ok(Box::new(move |call| Ok(xml::insert(call.str(0), &path, call.str(2))?.into())))
    }),
    Function::prepared(
        "ConvertAttributesToElementsXML",
        &[TEXT, X_PATH.or(Default::String("//@*"))],
        |literals| {
            let path = path(literals)?;
            Ok(Box::new(move |call| Ok(xml::convert_attributes(call.str(0), &path)?.into())))
        },
    ),
    Function::prepared(
        "ConvertTextToElementsXML",
        &[
            TEXT,
            X_PATH.or(Default::String("/")),
            new("element_name", Kind::LiteralString).or(Default::String("value")),
        ],
        |literals| {
            let path = path(literals)?;
            Ok(Box::new(move |call| Ok(xml::convert_text(call.str(0), &path, call.str(2))?.into())))
        },
    ),
];

fn path(literals: &Literals<'_>) -> Result<XPath, String> {
    XPath::new(literals.str(1).unwrap_or_default()).map_err(|error| error.to_string())
}
