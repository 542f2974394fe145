//! VictoriaMetrics' stream aggregation, translated to the `aggregator`.
//!
//! An entry becomes one rule for each way in which its outputs are called: the aggregator's names of outputs stand in for
//! those of VictoriaMetrics only where both are the same word. What differs in meaning is said, and where data points
//! cannot be chosen as they were, the entry is left out, so that they pass unchanged.

mod entry;
mod outputs;
mod selector;

// They ask the processor, too.
#[cfg(all(test, feature = "distribution"))]
mod recorded;
#[cfg(all(test, feature = "distribution"))]
mod tests;

use std::collections::{BTreeSet, HashSet};

use phoenix_config::{KeyPath, Problems};

use super::Converted;
use super::policies::quoted;
use entry::{Duration, Entries, Entry};
use outputs::{Shape, Translated};
use selector::Matching;

/// How a file for stream aggregation is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmagentOptions {
    /// Whether data points that are aggregated pass as well, as with `-streamAggr.keepInput`.
    pub keep_input: bool,
}

/// Translates a file for VictoriaMetrics' stream aggregation to an `aggregator` processor. `name` is what reports call
/// the text.
///
/// # Errors
/// Where it is no such file.
pub fn vmagent(name: &str, text: &str, options: &VmagentOptions) -> Result<Converted, Box<Problems>> {
    let node = phoenix_config::parse_yaml(name, text)?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let entries: Entries =
        phoenix_config::decode_checked(&node, &mut problems).ok_or_else(|| Box::new(problems))?;
    let mut translation = Translation { options, rules: Vec::new(), left_out: Vec::new() };
    let mut taken = HashSet::new();
    for (index, entry) in entries.0.iter().enumerate() {
        translation.entry(&unique_id(&mut taken, index, &entry.name), entry);
    }
    translation.processor(&entries.0);
    Ok(translation.finish(name, &entries.0))
}

/// What rules are called, in own metrics and in reports.
fn unique_id(taken: &mut HashSet<String>, index: usize, name: &str) -> String {
    let base = if name.is_empty() { format!("entry {}", index + 1) } else { name.to_owned() };
    let mut id = base.clone();
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{base} {number}");
        number += 1;
    }
    id
}

/// The attribute that a label of Prometheus becomes on its way to OTLP.
fn attribute(label: &str) -> &str {
    match label {
        "job" => "service.name",
        "instance" => "service.instance.id",
        other => other,
    }
}

fn attributes(labels: &[String]) -> String {
    let quoted: Vec<String> = labels.iter().map(|label| quoted(attribute(label))).collect();
    format!("[{}]", quoted.join(", "))
}

struct Translation<'a> {
    options: &'a VmagentOptions,
    /// YAML of each rule: its lines, without indentation.
    rules: Vec<Vec<String>>,
    left_out: Vec<String>,
}

impl Translation<'_> {
    fn entry(&mut self, id: &str, entry: &Entry) {
        let matching = match self.matching(entry) {
            Ok(matching) => matching,
            Err(why) => return self.left_out.push(format!("{id:?} is left out: {why}")),
        };
        let outputs = outputs::translate(&entry.outputs);
        if let Some(why) = self.without_name(entry, &outputs) {
            return self.left_out.push(format!("{id:?} is left out: {why}"));
        }
        for said in outputs.iter().filter_map(|output| output.remark.as_ref()) {
            self.left_out.push(format!("{id:?}: {said}"));
        }
        self.remarks(id, entry);
        // Outputs that both call alike share a rule.
        let (alike, others): (Vec<&Translated>, Vec<&Translated>) = outputs
            .iter()
            .filter(|output| !output.functions.is_empty())
            .partition(|output| output.is_alike());
        let (each, running) = alike.into_iter().partition(|output| output.shape() == Shape::Each);
        let mut groups: Vec<Vec<&Translated>> = vec![each, running];
        groups.extend(others.into_iter().map(|output| vec![output]));
        groups.retain(|group| !group.is_empty());
        let single = groups.len() == 1;
        for group in groups {
            let id = if single { id.to_owned() } else { format!("{id} {}", group[0].original) };
            self.rule(&id, entry, &matching, &group);
        }
    }

    fn matching(&self, entry: &Entry) -> Result<Matching, String> {
        if !entry.input_relabel_configs.is_empty() {
            return Err("input_relabel_configs: do it in a processor before, `transform` for example".into());
        }
        selector::translate(entry.matches.as_slice())
    }

    /// Why names cannot be kept, if they are to be.
    fn without_name(&self, entry: &Entry, outputs: &[Translated]) -> Option<String> {
        if !entry.keep_metric_names {
            return None;
        }
        if self.options.keep_input {
            return Some(
                "keep_metric_names: what passes and what comes out would be one series with two writers"
                    .into(),
            );
        }
        let several = outputs.iter().map(|output| output.functions.len()).sum::<usize>() > 1;
        several.then(|| "keep_metric_names: several outputs would have one name".into())
    }

    /// Says which settings of an entry have no equivalent.
    fn remarks(&mut self, id: &str, entry: &Entry) {
        let given = [
            (
                entry.dedup_interval.is_some(),
                "dedup_interval: data points of one time count once, all others each",
            ),
            (
                entry.ignore_first_sample_interval.is_some(),
                "ignore_first_sample_interval: `first_sample` goes by the start times of streams",
            ),
            (entry.no_align_flush_to_interval, "no_align_flush_to_interval: windows are aligned"),
            (
                entry.ignore_old_samples == Some(true),
                "ignore_old_samples: increments of cumulative counters count whenever they come",
            ),
            (entry.ignore_first_intervals.unwrap_or(0) > 0, "ignore_first_intervals"),
            (
                !entry.output_relabel_configs.is_empty(),
                "output_relabel_configs: do it in a processor behind, `transform` for example",
            ),
        ];
        for (_, said) in given.iter().filter(|(is_given, _)| *is_given) {
            self.left_out.push(format!("{id:?}: {said}"));
        }
    }

    fn rule(&mut self, id: &str, entry: &Entry, matching: &Matching, outputs: &[&Translated]) {
        let mut lines = vec![format!("id: {}", quoted(id))];
        lines.extend(matching.lines());
        lines.push(format!("interval: {}", entry.interval.duration.written()));
        if outputs.iter().any(|output| output.adds_up()) {
            // As gauges: remote write knows no deltas.
            lines.push("window: hopping".into());
            lines.push(format!("every: {}", entry.interval.duration.written()));
        }
        if outputs.iter().any(|output| output.base == "histogram_bucket") {
            lines.push("temporality: cumulative".into());
        }
        if !entry.drop_input_labels.is_empty() {
            lines.push("labels:".into());
            let dropped = entry.drop_input_labels.iter().map(|label| quoted(attribute(label)));
            lines.extend(dropped.map(|key| format!("  - {{key: {key}, action: drop}}")));
        }
        if !entry.by.is_empty() {
            lines.push(format!("by: {}", attributes(&entry.by)));
        }
        if !entry.without.is_empty() {
            lines.push(format!("without: {}", attributes(&entry.without)));
        }
        let functions: Vec<&str> =
            outputs.iter().flat_map(|output| output.functions.iter().map(String::as_str)).collect();
        lines.push(format!("outputs: [{}]", functions.join(", ")));
        let name = if entry.keep_metric_names { "{name}".to_owned() } else { output_name(entry, outputs) };
        lines.push(format!("name: {}", quoted(&name)));
        if self.options.keep_input {
            lines.push("keep_input: true".into());
        }
        self.rules.push(lines);
    }

    /// Says where entries differ in what the processor has but once.
    fn processor(&mut self, entries: &[Entry]) {
        let staleness: BTreeSet<Option<Duration>> = entries
            .iter()
            .map(|entry| entry.staleness_interval.as_ref().map(|given| given.duration))
            .collect();
        if staleness.len() > 1 {
            self.left_out.push("staleness_interval: there is one for all entries, the longest".into());
        }
        let flush: BTreeSet<bool> = entries.iter().map(|entry| entry.flush_on_shutdown).collect();
        if flush.len() > 1 {
            self.left_out.push("flush_on_shutdown: there is one for all entries, true".into());
        }
        if outputs::first_values(entries) == (true, true) {
            let said =
                "increase_prometheus, total_prometheus: there is one `first_sample` for all entries, auto";
            self.left_out.push(said.into());
        }
    }

    fn finish(self, name: &str, entries: &[Entry]) -> Converted {
        let mut yaml = format!("# Translated from the stream aggregation in {name}.\n");
        yaml += "# Windows follow the times of data points. An output applies to the kinds of metrics that it means something for.\n";
        yaml += "# Increases and counts are gauges, as remote write knows no deltas: of hopping windows that do not overlap.\n";
        yaml += "# The labels job and instance are the attributes service.name and service.instance.id.\n";
        if !self.left_out.is_empty() {
            yaml += "#\n# Without equivalent, or different:\n";
            self.left_out.iter().for_each(|said| yaml += &format!("# - {said}\n"));
        }
        yaml += "processors:\n  aggregator:\n";
        let longest = entries.iter().map(|entry| entry.interval.duration).max();
        let staleness = entries
            .iter()
            .filter_map(|entry| entry.staleness_interval.as_ref().map(|given| given.duration))
            .max();
        if let Some(staleness) = staleness.max(longest.filter(|longest| *longest > Duration::FIVE_MINUTES)) {
            yaml += &format!("    staleness: {}\n", staleness.written());
        }
        if outputs::first_values(entries) == (false, true) {
            yaml += "    first_sample: skip\n";
        }
        if entries.iter().any(|entry| entry.flush_on_shutdown) {
            yaml += "    flush_on_shutdown: true\n";
        } else {
            yaml += "    # As without flush_on_shutdown: windows that were not seen whole are not sent.\n";
            yaml += "    flush_on_shutdown: false\n    partial_windows: drop\n";
        }
        if self.rules.is_empty() {
            yaml += "    rules: []\n";
        } else {
            yaml += "    rules:\n";
        }
        for rule in &self.rules {
            for (index, line) in rule.iter().enumerate() {
                yaml += if index == 0 { "      - " } else { "        " };
                yaml += line;
                yaml += "\n";
            }
        }
        Converted { yaml, left_out: self.left_out }
    }
}

/// `<metric>:<interval>[_by_<labels>][_without_<labels>]_<output>`, with the labels in order.
fn output_name(entry: &Entry, outputs: &[&Translated]) -> String {
    let mut name = format!("{{name}}:{}", entry.interval.text);
    for (word, labels) in [("by", &entry.by), ("without", &entry.without)] {
        if !labels.is_empty() {
            let sorted: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
            name += &format!("_{word}_{}", Vec::from_iter(sorted).join("_"));
        }
    }
    match outputs {
        [output] if !output.is_alike() && output.functions.len() == 1 => name + "_" + output.base,
        [output] if !output.is_alike() => name + "_" + output.base + "_{output}",
        _ => name + "_{output}",
    }
}
