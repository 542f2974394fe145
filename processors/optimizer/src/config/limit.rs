use phoenix_config::{Described, Problems};
use serde::Deserialize;

/// The most series of a metric, of all of them, of a tenant.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSeries {
    /// So many have a series of their own; idle ones make room. The others are added up in a series whose only
    /// attribute is `otel.metric.overflow: true`.
    pub limit: usize,
    /// Whether the limit is for each metric of each resource, for each metric, or for everything that the rule matches. Of the
    /// last metrics have equal shares, as far as they need them.
    pub per: LimitScope,
    /// So many new ones a minute, and at once, have a series of their own; 0 for any number. What comes faster is with the
    /// others for as long as it lives.
    pub new_per_minute: u32,
    /// An attribute, of points or resources, that tells tenants: each has an equal share of the limit, as far as it needs it.
    pub tenant: String,
    /// Tenants whose share has bounds.
    pub tenants: Vec<TenantShare>,
    /// Whether at the end of an interval series that count more take the places of the coldest ones.
    pub replace: bool,
    /// How many times more a newcomer must count than the coldest series that it takes the place of.
    pub hysteresis: f64,
}

/// What a limit of series is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// A metric of one resource, as in the SDKs.
    #[default]
    Resource,
    /// A metric, over all resources; the series of the others then has none.
    Metric,
    /// All metrics that the rule matches, over all resources.
    Rule,
}

/// Bounds for the share of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TenantShare {
    /// The value of the attribute; `*` for all tenants that are not listed.
    #[described(required)]
    pub value: String,
    /// It has at least so many series, if it needs them.
    pub guaranteed: usize,
    /// It has at most so many series, even where there is room; 0 for any number.
    pub most: usize,
}

impl Default for LimitSeries {
    fn default() -> LimitSeries {
        LimitSeries {
            limit: 2000,
            per: LimitScope::Resource,
            new_per_minute: 0,
            tenant: String::new(),
            tenants: Vec::new(),
            replace: false,
            hysteresis: 1.5,
        }
    }
}

impl LimitSeries {
    /// Whether places are given anew at the end of each interval.
    pub(crate) fn rebalances(&self) -> bool {
        self.replace || !self.tenant.is_empty() || self.per == LimitScope::Rule
    }

    /// The bounds of a tenant.
    pub(crate) fn bounds(&self, tenant: &[u8]) -> Option<&TenantShare> {
        let named = |name: &[u8]| self.tenants.iter().find(|share| share.value.as_bytes() == name);
        named(tenant).or_else(|| named(b"*"))
    }

    pub(crate) fn validate(&self, problems: &mut Problems) {
        problems.require(self.limit > 0, "limit", "must be at least 1");
        let holds = self.hysteresis.is_finite() && self.hysteresis >= 1.0;
        problems.require(holds, "hysteresis", "must be at least 1");
        problems.require(
            self.tenants.is_empty() || !self.tenant.is_empty(),
            "tenants",
            "needs `tenant`, the attribute that tells them",
        );
        let mut guaranteed = 0_usize;
        for (index, share) in self.tenants.iter().enumerate() {
            let key = format!("tenants::{index}");
            problems.require(!share.value.is_empty(), &format!("{key}::value"), "must not be empty");
            let repeated = self.tenants[..index].iter().any(|other| other.value == share.value);
            problems.require(!repeated, &format!("{key}::value"), "is there twice");
            problems.require(
                share.most == 0 || share.guaranteed <= share.most,
                &format!("{key}::guaranteed"),
                "must be at most `most`",
            );
            problems.require(
                share.value != "*" || share.guaranteed == 0,
                &format!("{key}::guaranteed"),
                "cannot be promised to any number of tenants",
            );
            guaranteed = guaranteed.saturating_add(share.guaranteed);
        }
        problems.require(guaranteed <= self.limit, "tenants", "are guaranteed more than `limit` together");
    }
}
