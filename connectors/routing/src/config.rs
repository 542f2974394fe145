use phoenix_config::{Described, PipelineId, Problems, Settings};
use phoenix_ottl::Context;
use phoenix_pdata::Signal;
use phoenix_statements::ErrorMode;
use serde::Deserialize;

use crate::request::RequestCondition;
use crate::router::program;

/// Settings of the `routing` connector: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingConfig {
    /// What becomes of errors in conditions; a record whose condition failed is not matched by that route.
    pub error_mode: ErrorMode,
    /// The pipelines for what no route takes; without any it ends here.
    pub default_pipelines: Vec<String>,
    /// The routes; each takes what it matches of what the ones before it left.
    #[described(required)]
    pub table: Vec<Route>,
    /// Whether a record goes to the first route that matches, as it does.
    #[described(deprecated = "every record goes to the first route that matches")]
    pub match_once: Option<bool>,
}

impl Default for RoutingConfig {
    fn default() -> RoutingConfig {
        RoutingConfig {
            error_mode: ErrorMode::Propagate,
            default_pipelines: Vec::new(),
            table: Vec::new(),
            match_once: None,
        }
    }
}

impl RoutingConfig {
    /// The pipelines of all routes, each behind its key.
    pub(crate) fn pipelines(&self) -> Vec<(String, String)> {
        let named = |key: String, names: &[String]| -> Vec<(String, String)> {
            let names = names.iter().enumerate();
            names.map(|(place, name)| (format!("{key}::{place}"), name.clone())).collect()
        };
        let routes = self.table.iter().enumerate();
        let of_routes =
            routes.flat_map(|(at, route)| named(format!("table::{at}::pipelines"), &route.pipelines));
        named("default_pipelines".to_owned(), &self.default_pipelines).into_iter().chain(of_routes).collect()
    }
}

/// Where what meets a condition goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// What the condition is evaluated for: `resource`, `span`, `metric`, `datapoint`, `log`, or `request` for the whole
    /// request. Without it what the paths are about, else `resource`.
    pub context: Option<String>,
    /// The condition.
    pub condition: String,
    /// A statement instead, whose condition counts: `route() where …`, `delete_key(…) where …`.
    pub statement: String,
    /// What becomes of what matches.
    pub action: RouteAction,
    /// The pipelines that it goes to.
    #[described(required)]
    pub pipelines: Vec<String>,
}

/// What becomes of what a route matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum RouteAction {
    /// It goes to the route's pipelines, and no further.
    #[default]
    Move,
    /// It goes to the route's pipelines, and on to the next route.
    Copy,
}

/// What a condition becomes a statement with.
const PREFIX: &str = "route() where ";

impl Route {
    /// The statement that it comes down to.
    pub(crate) fn as_statement(&self) -> String {
        match self.condition.is_empty() {
            true => self.statement.clone(),
            false => format!("{PREFIX}{}", self.condition),
        }
    }

    /// Whether it is about the request as a whole.
    pub(crate) fn is_of_request(&self) -> bool {
        self.context.as_deref() == Some("request")
    }
}

impl Settings for RoutingConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.table.is_empty(), "table", "must have at least one route");
        match self.match_once {
            Some(true) => {
                problems.warn("match_once", "can go: every record goes to the first route that matches")
            }
            Some(false) => problems.error_with_help(
                "match_once",
                "was removed: every record goes to the first route that matches",
                "use `action: copy` for a route whose records others may take as well",
            ),
            None => {}
        }
        validate_pipelines(&self.default_pipelines, "default_pipelines", problems);
        for (index, route) in self.table.iter().enumerate() {
            problems.within(&format!("table::{index}"), |problems| route.validate(self.error_mode, problems));
        }
    }
}

impl Route {
    fn validate(&self, error_mode: ErrorMode, problems: &mut Problems) {
        match (self.condition.is_empty(), self.statement.is_empty()) {
            (true, true) => problems.error("", "needs a `condition` or a `statement`"),
            (false, false) => problems.error("statement", "cannot be used together with `condition`"),
            _ => {}
        }
        problems.require(!self.pipelines.is_empty(), "pipelines", "must have at least one pipeline");
        validate_pipelines(&self.pipelines, "pipelines", problems);
        self.validate_statement(error_mode, problems);
        if self.is_of_request() {
            problems.require(
                self.statement.is_empty(),
                "statement",
                "the context `request` takes a `condition`",
            );
            if !self.condition.is_empty()
                && let Err(what) = RequestCondition::parse(&self.condition)
            {
                problems.error("condition", what);
            }
        }
    }
}

impl Route {
    /// The condition has to be one for a signal at least: which one is known when pipelines name the connector.
    fn validate_statement(&self, error_mode: ErrorMode, problems: &mut Problems) {
        if self.is_of_request() || self.as_statement().is_empty() {
            return;
        }
        let context = self.context.as_deref();
        if context.is_some() && phoenix_statements::context(context, "context", problems).is_none() {
            return;
        }
        let key = if self.condition.is_empty() { "statement" } else { "condition" };
        let attempts = Signal::ALL.map(|signal| program(self, signal, error_mode));
        // Of several reports that of the signal that has the context says most.
        let has_context = |signal: &Signal| {
            context
                .is_none_or(|name| name.parse().is_ok_and(|context| Context::of(*signal).contains(&context)))
        };
        if attempts.iter().all(Result::is_err) {
            let wanted = Signal::ALL.iter().position(has_context).unwrap_or_default();
            if let Some(Err(found)) = attempts.into_iter().nth(wanted) {
                for problem in &found.0 {
                    // A condition stands behind `route() where `.
                    let column = problem.column().saturating_sub(if self.condition.is_empty() {
                        0
                    } else {
                        PREFIX.len()
                    });
                    let message = format!("column {}: {}", column.max(1), problem.message);
                    match &problem.help {
                        Some(help) => problems.error_with_help(key, message, help.clone()),
                        None => problems.error(key, message),
                    }
                }
            }
        }
    }
}

fn validate_pipelines(pipelines: &[String], key: &str, problems: &mut Problems) {
    for (index, pipeline) in pipelines.iter().enumerate() {
        if let Err(error) = PipelineId::parse(pipeline) {
            problems.error(&format!("{key}::{index}"), error.to_string());
        }
    }
}
