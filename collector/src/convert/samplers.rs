//! Refinery's samplers as policies.

use super::policies::{Policy, quoted};
use super::rules::{Dynamic, Sampler};

/// A policy for a sampler; what it has and ours has not is added to `left_out`.
pub(super) fn policy(name: &str, sampler: &Sampler, left_out: &mut Vec<String>) -> Policy {
    if let Some(deterministic) = &sampler.deterministic_sampler {
        return one_in(name, deterministic.sample_rate);
    }
    let kinds = [
        (&sampler.ema_dynamic_sampler, "EMADynamicSampler"),
        (&sampler.dynamic_sampler, "DynamicSampler"),
        (&sampler.ema_throughput_sampler, "EMAThroughputSampler"),
        (&sampler.windowed_throughput_sampler, "WindowedThroughputSampler"),
        (&sampler.total_throughput_sampler, "TotalThroughputSampler"),
    ];
    let found = kinds.iter().find_map(|(settings, kind)| Some((settings.as_ref()?, *kind)));
    // Validation saw to it that there is one; keeping loses nothing.
    let Some((settings, kind)) = found else { return Policy::keep(name) };
    let policy = match kind {
        "EMADynamicSampler" | "DynamicSampler" => {
            let rate = settings.goal_sample_rate.or(settings.sample_rate).unwrap_or(10).max(1);
            let mut keys = vec![("goal_sampling_percentage", percentage(rate))];
            keys.extend(common(settings));
            Policy::new(name, "ema_dynamic", keys)
        }
        _ => {
            let goal = settings.goal_throughput_per_sec.unwrap_or(100).max(1);
            let mut keys = vec![("goal_throughput_per_sec", goal.to_string())];
            keys.extend(
                settings.initial_sample_rate.map(|rate| ("initial_sampling_rate", rate.max(1).to_string())),
            );
            keys.extend(common(settings));
            Policy::new(name, "ema_throughput", keys)
        }
    };
    for field in
        settings.field_list.iter().filter(|field| field.starts_with("root.") && *field != "root.name")
    {
        left_out.push(format!("{name:?}: {field} of the root alone; the key has that of all spans"));
    }
    if settings.use_cluster_size {
        left_out.push(format!("{name:?}: UseClusterSize; divide the goal by the number of collectors"));
    }
    if settings.summarize_mode.as_ref().is_some_and(|mode| mode != "none") {
        left_out.push(format!("{name:?}: SummarizeMode"));
    }
    if kind.starts_with("EMA") {
        return policy;
    }
    left_out.push(format!("{name:?}: {kind}, of which a moving average takes the place"));
    policy.with_comment(&format!(
        "Was {kind}, which looks at one window; this is a moving average over windows of that length."
    ))
}

/// Keeps one in so many.
pub(super) fn one_in(name: &str, rate: u64) -> Policy {
    match rate {
        0 | 1 => Policy::keep(name),
        rate => Policy::new(name, "probabilistic", vec![("sampling_percentage", percentage(rate))]),
    }
}

fn common(settings: &Dynamic) -> Vec<(&'static str, String)> {
    // Attributes of the root alone are not gathered; those of all spans are.
    let plain =
        |field: &String| field.strip_prefix("root.").filter(|rest| *rest != "name").map(str::to_owned);
    let fields: Vec<String> = settings
        .field_list
        .iter()
        .map(|field| quoted(&plain(field).unwrap_or_else(|| field.clone())))
        .collect();
    let interval = settings.adjustment_interval.or(settings.clear_frequency).or(settings.update_frequency);
    let mut keys = vec![("key_fields", format!("[{}]", fields.join(", ")))];
    keys.extend(interval.map(|interval| ("adjustment_interval", interval.to_string())));
    keys.extend(settings.weight.map(|weight| ("weight", weight.to_string())));
    keys.extend(settings.age_out_value.map(|value| ("age_out_value", value.to_string())));
    keys.extend(settings.burst_multiple.map(|multiple| ("burst_multiple", multiple.to_string())));
    keys.extend(settings.burst_detection_delay.map(|delay| ("burst_detection_delay", delay.to_string())));
    keys.extend(settings.max_keys.map(|most| ("max_keys", most.to_string())));
    if settings.use_trace_length {
        keys.push(("use_trace_length", "true".into()));
    }
    keys
}

/// What one in `rate` is in percent.
fn percentage(rate: u64) -> String {
    (100.0 / rate as f64).to_string()
}
