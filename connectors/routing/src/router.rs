use std::collections::HashSet;

use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, BoxFuture, ConnectorFlow, ConnectorOutlets, Outlet, Refusal, StartError};
use phoenix_ottl::{Context, Diagnostics, RouteProgram, sets};
use phoenix_pdata::{Payload, Signal, count_items};
use phoenix_statements::{ErrorMode, Runner};

use crate::config::{Route, RouteAction, RoutingConfig};
use crate::deliver::deliver;
use crate::request::RequestCondition;

/// A `routing` connector of one signal.
#[derive(Debug)]
pub(crate) struct Router {
    routes: Vec<Way>,
    /// The places of the targets of what no route takes.
    default: Vec<usize>,
    /// Every pipeline that something is sent to, once.
    targets: Vec<Outlet>,
    runner: Runner,
}

#[derive(Debug)]
struct Way {
    condition: Condition,
    action: RouteAction,
    targets: Vec<usize>,
}

#[derive(Debug)]
enum Condition {
    Request(RequestCondition),
    Records(Box<RouteProgram>),
}

/// The program of a route of records. Without a context it is about what the paths say, else about resources.
pub(crate) fn program(route: &Route, signal: Signal, mode: ErrorMode) -> Result<RouteProgram, Diagnostics> {
    let statement = route.as_statement();
    let compile = |context| RouteProgram::compile(signal, sets::ROUTING, context, &statement, mode.into());
    match route.context.as_deref() {
        Some(name) => compile(name.parse::<Context>().ok()),
        None => compile(None).or_else(|_| compile(Some(Context::Resource))),
    }
}

impl Router {
    pub(crate) fn new(
        config: &RoutingConfig,
        signal: Signal,
        cx: &CreateContext<'_>,
        outlets: &ConnectorOutlets,
    ) -> Result<Router, StartError> {
        let targets = outlets.by_pipeline.iter().map(|(_, outlet)| outlet.clone()).collect();
        let places = |names: &[String]| {
            let place = |name: &String| {
                let found =
                    outlets.by_pipeline.iter().position(|(pipeline, _)| pipeline.to_string() == *name);
                found.ok_or_else(|| {
                    StartError::new(format!(
                        "pipeline {name:?} does not list this connector among its receivers"
                    ))
                })
            };
            names.iter().map(place).collect::<Result<Vec<_>, _>>()
        };
        let mut seen = HashSet::new();
        let mut routes = Vec::new();
        for route in &config.table {
            if !seen.insert((route.context.as_deref(), route.as_statement())) {
                tracing::warn!(
                    statement = route.as_statement(),
                    "a route says the same as one before it and is ignored"
                );
                continue;
            }
            let condition = match route.is_of_request() {
                true => {
                    Condition::Request(RequestCondition::parse(&route.condition).map_err(StartError::new)?)
                }
                false => {
                    let program = program(route, signal, config.error_mode).map_err(StartError::because)?;
                    Condition::Records(Box::new(program))
                }
            };
            routes.push(Way { condition, action: route.action, targets: places(&route.pipelines)? });
        }
        let runner = Runner::new(&cx.host.metrics, "connector", &cx.id.to_string());
        Ok(Router { routes, default: places(&config.default_pipelines)?, targets, runner })
    }

    /// What goes to each target.
    fn split(&self, batch: &Batch) -> Result<Vec<Payload>, Refusal> {
        let client = batch.client.as_deref();
        let mut parts = vec![Payload::default(); self.targets.len()];
        let mut give = |targets: &[usize], payload: &Payload| {
            targets.iter().for_each(|target| parts[*target].append(payload.clone()));
        };
        let mut rest = batch.payload.clone();
        for way in &self.routes {
            if rest.is_empty() {
                break;
            }
            let (matched, left) = match &way.condition {
                Condition::Request(condition) if condition.matches(client) => {
                    (rest.clone(), Payload::default())
                }
                Condition::Request(_) => continue,
                Condition::Records(program) => {
                    let routed = self.runner.run(client, |env| program.split(&rest, env))?;
                    (routed.matched, routed.rest)
                }
            };
            give(&way.targets, &matched);
            if way.action == RouteAction::Move {
                rest = left;
            }
        }
        give(&self.default, &rest);
        Ok(parts)
    }
}

impl ConnectorFlow for Router {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let parts = self.split(&batch)?;
            let sent = self.targets.iter().zip(parts).filter(|(_, payload)| !payload.is_empty());
            let part = |(outlet, payload): (&Outlet, Payload)| {
                let items = count_items(batch.signal, &payload);
                (outlet.clone(), Batch { payload, items, ..batch.clone() })
            };
            deliver(sent.map(part).collect()).await
        })
    }
}
