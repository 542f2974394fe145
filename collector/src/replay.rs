//! `sample`: traces from a file, replayed through the samplers of a configuration.

mod player;
mod report;

use anyhow::{Context as _, bail, ensure};
use phoenix_component::factory::Registry;
use phoenix_config::{Component, Kind};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};
use serde::de::IgnoredAny;

use crate::cli::{Sample, Sources};
use crate::load;
use player::Player;
use report::Report;

/// What people read under the options.
pub(crate) const HELP: &str = "Examples:
  phoenix-collector sample --config=configs/tail-sampling.yaml < traces.json
  phoenix-collector sample --config=collector.yaml --price-per-gib=0.3 --traces < traces.json

The cost is that of the bytes that are kept, and of all. \"Estimated\" counts what was kept up to what there was, by
the probabilities that are known: it should be close to the number of traces that any policy wants.

Exit codes: 0 it was replayed; 1 a mistake in the configuration or the input, or no sampler is configured.";

/// The processor type whose decisions are replayed.
const SAMPLER: &str = "tail_sampling";

/// Replays requests in OTLP/JSON through the samplers of a configuration, and reports.
///
/// # Errors
/// What is wrong with the configuration or the input.
pub(crate) fn replay(
    sources: &Sources,
    registry: &Registry,
    asked: &Sample,
    input: &[u8],
) -> anyhow::Result<String> {
    if let Some(price) = asked.price_per_gib {
        ensure!(price.is_finite() && price >= 0.0, "--price-per-gib must be a number that is not negative");
    }
    let (config, _) = load::check(sources, registry)?;
    let samplers: Vec<&Component> = config
        .components(Kind::Processor)
        .iter()
        .filter(|component| component.type_name() == SAMPLER)
        .collect();
    if samplers.is_empty() {
        bail!("the configuration has no {SAMPLER} processor");
    }
    let requests = requests(input)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _within = runtime.enter();
    let mut reports = Vec::new();
    for sampler in samplers {
        reports.push(played(sampler, registry, &requests)?);
    }
    if asked.json {
        let all: Vec<_> = reports.iter().map(|report| report.to_json(asked)).collect();
        return Ok(serde_json::to_string_pretty(&all)? + "\n");
    }
    Ok(reports.iter().map(|report| report.text(asked)).collect::<Vec<_>>().join("\n"))
}

/// One sampler over all requests.
fn played(sampler: &Component, registry: &Registry, requests: &[Payload]) -> anyhow::Result<Report> {
    let mut player = Player::new(sampler, registry).with_context(|| sampler.id().to_string())?;
    for request in requests {
        player.take(request)?;
    }
    Ok(player.finish(sampler.id().to_string()))
}

/// The requests of the input, one after the other.
fn requests(input: &[u8]) -> anyhow::Result<Vec<Payload>> {
    let mut found = Vec::new();
    let mut documents = serde_json::Deserializer::from_slice(input).into_iter::<IgnoredAny>();
    let mut start = 0;
    while let Some(document) = documents.next() {
        document.map_err(|error| anyhow::anyhow!("standard input is no JSON: {error}"))?;
        let text = &input[start..documents.byte_offset()];
        start = documents.byte_offset();
        let decoded = json::decode(Signal::Traces, text, InvalidUtf8::Pass);
        let (payload, _) =
            decoded.map_err(|error| anyhow::anyhow!("standard input is no traces in OTLP/JSON: {error}"))?;
        found.push(payload);
    }
    ensure!(!found.is_empty(), "there are no traces on standard input");
    Ok(found)
}
