//! The process and the collector as a whole: values that are read when somebody looks.

use std::sync::Arc;
use std::time::Instant;

use phoenix_component::{Host, cpu};
use phoenix_telemetry::{Description, InstrumentKind, Value};

const fn describe(name: &'static str, unit: &'static str, text: &'static str) -> Description {
    Description { name, unit, text }
}

const UPTIME: Description = describe("otelcol_process_uptime", "s", "Uptime of the process.");
const CPU: Description =
    describe("otelcol_process_cpu_seconds", "s", "Total CPU user and system time in seconds.");
const RSS: Description =
    describe("otelcol_process_memory_rss", "By", "Total physical memory (resident set size).");
const HEAP: Description = describe(
    "otelcol_process_runtime_heap_alloc_bytes",
    "By",
    "Resident anonymous memory, which takes the place of the bytes of Go's heap objects.",
);
const SYSTEM: Description = describe(
    "otelcol_process_runtime_total_sys_memory_bytes",
    "By",
    "Private memory obtained from the system, resident or not.",
);
const PEAK: Description = describe("phoenix_process_memory_peak", "By", "The most that was ever resident.");
const USED: Description =
    describe("phoenix_budget_used", "By", "Bytes of requests, batches and queues that are held.");
const LIMIT: Description = describe("phoenix_budget_limit", "By", "Bytes that may be held.");
const REFUSALS: Description =
    describe("phoenix_budget_refusals", "{refusal}", "How often the budget had no room.");

/// Registers all of them.
pub(super) fn register(host: &Host) {
    let metrics = &host.metrics;
    let started = Instant::now();
    metrics.observe(UPTIME, InstrumentKind::Counter, &[], move || {
        Some(Value::Float(started.elapsed().as_secs_f64()))
    });
    metrics.observe(CPU, InstrumentKind::Counter, &[], || {
        cpu::own_time().map(|time| Value::Float(time.as_secs_f64()))
    });
    let memory = Arc::clone(&host.memory);
    metrics.observe(RSS, InstrumentKind::Gauge, &[], move || int(memory.resident()));
    for (description, key) in [(HEAP, "RssAnon:"), (SYSTEM, "VmData:"), (PEAK, "VmHWM:")] {
        metrics.observe(description, InstrumentKind::Gauge, &[], move || int(status_bytes(key)?));
    }
    let budget = host.budget.clone();
    metrics.observe(USED, InstrumentKind::Gauge, &[], move || int(budget.used() as u64));
    let budget = host.budget.clone();
    metrics.observe(LIMIT, InstrumentKind::Gauge, &[], move || int(budget.limit() as u64));
    let budget = host.budget.clone();
    metrics.observe(REFUSALS, InstrumentKind::Counter, &[], move || int(budget.refusals() as u64));
}

fn int(value: u64) -> Option<Value> {
    Some(Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// A line of `/proc/self/status`, which counts in KiB.
fn status_bytes(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_memory() {
        for key in ["RssAnon:", "VmData:", "VmHWM:"] {
            assert!(status_bytes(key).is_some_and(|bytes| bytes > 0), "{key}");
        }
    }
}
