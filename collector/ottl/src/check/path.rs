//! Paths: which level, which field, which keys.

use crate::diagnostic::{Problem, did_you_mean};
use crate::path::{CLIENT, Target, paths};
use crate::plan::{Expr, Levels, Path};
use crate::run::{Datum, MAX_KEYS};
use crate::syntax::ast::{self, ExprKind, Place};
use crate::{Context, UnknownContext};

use super::{Checked, Compiler, Facts};

impl Compiler<'_> {
    /// Compiles a path that is read.
    pub(super) fn path(&mut self, path: &ast::Path, place: &Place) -> Checked<(Expr, Facts)> {
        let (path, facts) = self.target(path, place)?;
        // An attribute by a literal key is read through the table of its level.
        if path.target == Target::Attributes
            && let [Expr::Literal(key)] = &path.keys[..]
            && let Datum::Text(key) = key.datum()
            && let Some(index) = self.layout.keys[usize::from(path.depth)].add(key)
        {
            let depth = path.depth;
            return Ok((Expr::Attribute { depth, index }, Facts::reading(Levels::of(depth.into()))));
        }
        if let Target::Field(field) = path.target {
            return Ok((Expr::Field { depth: path.depth, field }, facts));
        }
        Ok((Expr::Path(Box::new(path)), facts))
    }

    /// Compiles a path that is set.
    pub(super) fn settable(&mut self, path: &ast::Path, place: &Place) -> Checked<(Path, Facts)> {
        let (compiled, facts) = self.target(path, place)?;
        match compiled.target.is_read_only() {
            true => Err(Problem::new(place, "paths of otelcol cannot be set")),
            false => Ok((compiled, facts)),
        }
    }

    fn target(&mut self, path: &ast::Path, place: &Place) -> Checked<(Path, Facts)> {
        let (context, segments) = self.split(path, place)?;
        let names: Vec<_> = segments.iter().map(|segment| segment.name.as_str()).collect();
        let name = names.join(".");
        let (table, prefix) = match context {
            Some(context) => (paths(context), context.name()),
            None => (CLIENT, "otelcol"),
        };
        let Some((_, target)) = table.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(&name, table, prefix, segments, place));
        };
        let Some((last, before)) = segments.split_last() else {
            return Err(Problem::new(place, format!("a path needs a field behind \"{prefix}\"")));
        };
        if let Some(key) = before.iter().flat_map(|segment| &segment.keys).next() {
            return Err(Problem::new(&key.value.place, "only the end of a path can be indexed"));
        }
        if let Some(key) = last.keys.first()
            && !target.takes_keys()
        {
            return Err(Problem::new(&key.value.place, format!("\"{prefix}.{name}\" cannot be indexed")));
        }
        if *target == Target::Cache && context != Some(self.context) {
            let message = format!("only \"{0}.cache\" can be used in the context {0}", self.context);
            return Err(Problem::new(place, message));
        }
        if *target == Target::TraceState && last.keys.len() > 1 {
            return Err(Problem::new(place, "\"span.trace_state\" takes one key"));
        }
        if last.keys.len() > MAX_KEYS {
            return Err(Problem::new(place, format!("a path cannot have more than {MAX_KEYS} keys")));
        }
        let mut facts = match (target, context) {
            (Target::Cache, _) => Facts::reading(Levels::cache()),
            (_, Some(context)) => Facts::reading(Levels::of(context.depth())),
            (_, None) => Facts::default(),
        };
        let mut keys = Vec::with_capacity(last.keys.len());
        for key in &last.keys {
            let (key, of_key) = self.key(key)?;
            facts = facts.and(of_key);
            keys.push(key);
        }
        let is_safe = keys.is_empty() && *target != Target::BodyText;
        let facts = if is_safe { facts } else { facts.fallible() };
        let depth = context.map_or(0, Context::depth);
        Ok((Path { depth: depth as u8, target: *target, keys }, facts))
    }

    /// Compiles a key, which must be able to give a string or a whole number.
    pub(super) fn key(&mut self, key: &ast::Key) -> Checked<(Expr, Facts)> {
        match key.value.kind {
            ExprKind::Double(_) => Err(Problem::new(&key.value.place, "a key must be a string or an int")),
            _ => self.expr(&key.value),
        }
    }

    /// The context that a path begins with, `None` for `otelcol`, and the rest.
    fn split<'p>(
        &self,
        path: &'p ast::Path,
        place: &Place,
    ) -> Checked<(Option<Context>, &'p [ast::Segment])> {
        let [first, rest @ ..] = &path.segments[..] else {
            return Err(Problem::new(place, "a path needs a field"));
        };
        let is_prefix = first.keys.is_empty() && !rest.is_empty();
        if is_prefix && first.name == "otelcol" {
            return Ok((None, rest));
        }
        if is_prefix && let Some(context) = self.context.prefixed(&first.name) {
            return Ok((Some(context), rest));
        }
        match self.adds_prefix {
            true => Ok((Some(self.context), &path.segments)),
            false => Err(self.without_context(path, first, is_prefix, place)),
        }
    }

    fn without_context(
        &self,
        path: &ast::Path,
        first: &ast::Segment,
        is_prefix: bool,
        place: &Place,
    ) -> Problem {
        let options: Vec<_> = self.context.prefixes().chain(["otelcol"]).collect();
        let expected = options.join(", ");
        let names: Vec<_> = path.segments.iter().map(|segment| segment.name.as_str()).collect();
        let name = names.join(".");
        let message = match first.name.parse::<Context>() {
            Ok(context) if is_prefix => {
                format!(
                    "the context {} does not know \"{context}\": expected one of {expected}",
                    self.context
                )
            }
            Err(UnknownContext::Profile) if is_prefix => UnknownContext::Profile.to_string(),
            _ => format!("the path does not begin with a context: expected one of {expected}"),
        };
        let knows = |context: &&Context| paths(**context).iter().any(|(known, _)| *known == name);
        let owner = self.context.chain().iter().find(knows);
        let help = owner
            .map(|context| format!("did you mean \"{context}.{name}\"?"))
            .or_else(|| did_you_mean(&first.name, options));
        Problem::new(place, message).help(help)
    }
}

/// Says what of a path is not known, and what is.
fn unknown(
    name: &str,
    table: &[(&str, Target)],
    prefix: &str,
    segments: &[ast::Segment],
    place: &Place,
) -> Problem {
    // The longest known beginning: what follows it is one field too many.
    let longest = (1..segments.len()).rev().find_map(|count| {
        let names: Vec<_> = segments[..count].iter().map(|segment| segment.name.as_str()).collect();
        let known = names.join(".");
        table.iter().any(|(path, _)| *path == known).then_some((known, &segments[count]))
    });
    if let Some((known, segment)) = longest {
        let start = format!("{known}.");
        let deeper = table.iter().filter_map(|(path, _)| path.strip_prefix(start.as_str()));
        let message = format!("\"{prefix}.{known}\" has no field \"{}\"", segment.name);
        return Problem::new(&segment.place, message).help(did_you_mean(&segment.name, deeper));
    }
    let names = table.iter().map(|(path, _)| *path);
    Problem::new(place, format!("\"{prefix}\" has no field \"{name}\"")).help(did_you_mean(name, names))
}
