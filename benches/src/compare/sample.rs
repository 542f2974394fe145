//! What one run of one subject gave.

use serde::Serialize;

use crate::compare::connections::Connections;
use crate::compare::overload::Overload;
use crate::compare::procfs::CpuSource;
use crate::compare::recovery::Recovery;
use crate::compare::run::Run;
use crate::compare::subjects::Kind;
use crate::ledger::SinkReport;
use crate::load::LoadReport;

/// One run; what its workload does not look at is not there.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) workload: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) subject: Kind,
    pub(crate) round: usize,
    /// From the start of the process to an open port.
    pub(crate) start_ms: Option<f64>,
    /// Resident before the load.
    pub(crate) idle_mib: Option<f64>,
    pub(crate) binary_bytes: Option<u64>,
    /// Whether it stopped when asked to.
    pub(crate) stopped_in_time: bool,
    pub(crate) peak_mib: Option<f64>,
    /// User and system time of the process from the first request to the last batch.
    pub(crate) cpu_s: Option<f64>,
    pub(crate) cpu_source: Option<CpuSource>,
    pub(crate) load: Option<LoadReport>,
    pub(crate) sink: Option<SinkReport>,
    /// The health endpoint's answers, where it was asked.
    pub(crate) health_p99_ms: Option<f64>,
    pub(crate) health_failed: Option<u64>,
    pub(crate) instructions_per_request: Option<f64>,
    pub(crate) overload: Option<Overload>,
    pub(crate) connections: Option<Connections>,
    pub(crate) recovery: Option<Recovery>,
    /// Resident memory for each item that waits in the subject.
    pub(crate) buffered_bytes: Option<f64>,
    /// CPU time over the time of the load.
    pub(crate) cores: Option<f64>,
    /// What a reader of the figures must know.
    pub(crate) note: Option<String>,
}

impl Sample {
    /// A run of which nothing is known yet.
    pub(crate) fn new(run: &Run<'_>) -> Sample {
        Sample {
            workload: run.workload.name,
            variant: run.variant.name,
            subject: run.subject.kind,
            round: run.round,
            start_ms: None,
            idle_mib: None,
            binary_bytes: None,
            stopped_in_time: false,
            peak_mib: None,
            cpu_s: None,
            cpu_source: None,
            load: None,
            sink: None,
            health_p99_ms: None,
            health_failed: None,
            instructions_per_request: None,
            overload: None,
            connections: None,
            recovery: None,
            buffered_bytes: None,
            cores: None,
            note: None,
        }
    }

    /// Notes the CPU time of the load.
    pub(crate) fn set_cpu(&mut self, (seconds, source): (f64, CpuSource)) {
        (self.cpu_s, self.cpu_source) = (Some(seconds), Some(source));
    }

    /// CPU seconds per million accepted items.
    pub(crate) fn cpu_per_million(&self) -> Option<f64> {
        let items = self.load.as_ref()?.accepted_items;
        (items > 0).then_some(self.cpu_s? / items as f64 * 1e6)
    }

    /// By how many bytes memory was larger at its peak than before the load, for each accepted item.
    pub(crate) fn growth_per_item(&self) -> Option<f64> {
        let items = self.load.as_ref()?.accepted_items;
        (items > 0).then_some((self.peak_mib? - self.idle_mib?) * f64::from(1 << 20) / items as f64)
    }

    /// Memory for each item that waits as a ratio to that of `kind` in the same round.
    pub(crate) fn buffered_against(&self, kind: Kind, samples: &[Sample]) -> Option<f64> {
        Some(self.buffered_bytes? / self.other(kind, samples)?.buffered_bytes?)
    }

    /// Accepted items per second.
    pub(crate) fn items_per_s(&self) -> Option<f64> {
        Some(self.load.as_ref()?.items_per_s)
    }

    /// Requests that were refused or broke off, each try counted.
    pub(crate) fn failed(&self) -> Option<u64> {
        Some(self.load.as_ref()?.failed)
    }

    /// Most resident memory as a part of what is allowed for the collector's own budget.
    pub(crate) fn peak_of_budget(&self) -> Option<f64> {
        Some(self.peak_mib? / self.overload.as_ref()?.bound_mib()?)
    }

    /// Accepted items that did not arrive; below zero if more arrived than were accepted.
    pub(crate) fn lost(&self) -> Option<i64> {
        let arrived = self.sink.as_ref()?.ids.map_or(self.sink.as_ref()?.items(), |ids| ids.distinct);
        Some(self.load.as_ref()?.accepted_items.cast_signed() - arrived.cast_signed())
    }

    /// By how many milliseconds kept spans came later than they had to wait, at the 99th percentile.
    pub(crate) fn late_p99_ms(&self) -> Option<f64> {
        let kept = self.sink.as_ref()?.kept.filter(|kept| kept.waited > 0)?;
        Some(kept.late_p99_us as f64 / 1e3)
    }

    /// Accepted spans with an error that did not arrive.
    pub(crate) fn lost_errors(&self) -> Option<i64> {
        let arrived = self.sink.as_ref()?.kept?.failed;
        Some(self.load.as_ref()?.accepted_errors.cast_signed() - arrived.cast_signed())
    }

    /// How many spans there were, as those that arrived say, as a ratio to what was accepted.
    pub(crate) fn stands_for(&self) -> Option<f64> {
        Some(self.sink.as_ref()?.kept?.stand_for / self.load.as_ref()?.accepted_items as f64)
    }

    /// CPU time per item as a ratio to that of the null relay in the same round.
    pub(crate) fn cpu_ratio(&self, samples: &[Sample]) -> Option<f64> {
        self.cpu_against(Kind::Null, samples)
    }

    /// CPU time per item as a ratio to that of `kind` in the same round.
    pub(crate) fn cpu_against(&self, kind: Kind, samples: &[Sample]) -> Option<f64> {
        Some(self.cpu_per_million()? / self.other(kind, samples)?.cpu_per_million()?)
    }

    /// Peak memory as a ratio to that of `kind` in the same round.
    pub(crate) fn peak_against(&self, kind: Kind, samples: &[Sample]) -> Option<f64> {
        Some(self.peak_mib? / self.other(kind, samples)?.peak_mib?)
    }

    /// What `kind` gave in the same round.
    fn other<'a>(&self, kind: Kind, samples: &'a [Sample]) -> Option<&'a Sample> {
        samples.iter().find(|other| {
            other.subject == kind
                && other.workload == self.workload
                && other.variant == self.variant
                && other.round == self.round
        })
    }
}

/// Pairs of samples of the variants `of` and `against` from the same rounds.
pub(crate) fn by_round<'a>(
    samples: &'a [&'a Sample],
    of: &'a str,
    against: &'a str,
) -> impl Iterator<Item = (&'a Sample, &'a Sample)> {
    samples.iter().filter(move |sample| sample.variant == of).filter_map(move |sample| {
        let other = samples.iter().find(|other| other.variant == against && other.round == sample.round)?;
        Some((*sample, *other))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kept::KeptReport;

    /// A run that took `cpu_s` for a million items in a second.
    pub(crate) fn sample(
        workload: &'static str,
        variant: &'static str,
        subject: Kind,
        round: usize,
        cpu_s: f64,
    ) -> Sample {
        Sample {
            workload,
            variant,
            subject,
            round,
            start_ms: Some(5.0),
            idle_mib: Some(6.0),
            binary_bytes: Some(12_000_000),
            stopped_in_time: true,
            peak_mib: Some(10.0),
            cpu_s: Some(cpu_s),
            cpu_source: Some(CpuSource::Ticks),
            load: Some(LoadReport {
                accepted_requests: 10_000,
                accepted_items: 1_000_000,
                accepted_errors: 50_000,
                failed: 0,
                retryable: 0,
                refusals: Default::default(),
                partial: 0,
                bytes_per_request: 50_000,
                wall_s: 1.0,
                items_per_s: 1e6,
                p50_us: 1000,
                p99_us: 2000,
                p999_us: 3000,
                max_us: 4000,
            }),
            sink: Some(SinkReport {
                requests: 10_000,
                spans: 999_990,
                log_records: 0,
                data_points: 0,
                bytes: 500_000_000,
                malformed: 0,
                refused: 0,
                throttled: 0,
                busy_us: 1_000_000,
                first_at: None,
                ids: None,
                kept: Some(KeptReport {
                    waited: 100,
                    late_p99_us: 120_000,
                    failed: 49_999,
                    stand_for: 990_000.0,
                    ..KeptReport::default()
                }),
            }),
            health_p99_ms: None,
            health_failed: None,
            instructions_per_request: None,
            overload: None,
            connections: None,
            recovery: None,
            buffered_bytes: None,
            cores: None,
            note: None,
        }
    }

    #[test]
    fn figures_are_per_accepted_item() {
        let sample = sample("traces-100", "", Kind::Phoenix, 0, 0.5);
        assert_eq!(sample.cpu_per_million(), Some(0.5));
        assert_eq!(sample.lost(), Some(10));
        assert_eq!(sample.cpu_ratio(&[]), None);
        assert_eq!(sample.late_p99_ms(), Some(120.0));
        assert_eq!((sample.lost_errors(), sample.stands_for()), (Some(1), Some(0.99)));
        assert_eq!(sample.growth_per_item(), Some(4.0 * 1.048576));
    }
}
