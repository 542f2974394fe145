use super::SpanContext;

/// Which spans are recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Traces by their identifier: this share of them, 0 to 1.
    Ratio(f64),
    /// As the parent was.
    ParentBased(Box<ParentBased>),
}

/// Who decides, by the parent.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentBased {
    /// Without a parent.
    pub root: Sampler,
    /// The parent is another process's, and recorded.
    pub remote_sampled: Sampler,
    /// The parent is another process's, and not recorded.
    pub remote_not_sampled: Sampler,
    /// The parent is this process's, and recorded.
    pub local_sampled: Sampler,
    /// The parent is this process's, and not recorded.
    pub local_not_sampled: Sampler,
}

impl Sampler {
    /// As the parent was; `root` decides where there is none.
    pub fn parent_based(root: Sampler) -> Sampler {
        Sampler::ParentBased(Box::new(ParentBased {
            root,
            remote_sampled: Sampler::AlwaysOn,
            remote_not_sampled: Sampler::AlwaysOff,
            local_sampled: Sampler::AlwaysOn,
            local_not_sampled: Sampler::AlwaysOff,
        }))
    }

    /// Whether a span of that trace under that parent is recorded.
    pub(super) fn samples(&self, trace_id: &[u8; 16], parent: Option<SpanContext>) -> bool {
        match self {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            Sampler::Ratio(ratio) => {
                // As OpenTelemetry's SDKs: the lower half of the identifier against the ratio of its range.
                let lower = trace_id[8..].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
                (lower >> 1) < (ratio * (1_u64 << 63) as f64) as u64
            }
            Sampler::ParentBased(rules) => {
                let rule = match parent {
                    None => &rules.root,
                    Some(SpanContext { remote: true, sampled: true, .. }) => &rules.remote_sampled,
                    Some(SpanContext { remote: true, sampled: false, .. }) => &rules.remote_not_sampled,
                    Some(SpanContext { remote: false, sampled: true, .. }) => &rules.local_sampled,
                    Some(SpanContext { remote: false, sampled: false, .. }) => &rules.local_not_sampled,
                };
                rule.samples(trace_id, parent)
            }
        }
    }
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler::parent_based(Sampler::AlwaysOn)
    }
}
