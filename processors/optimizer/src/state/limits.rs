//! Who has a place under a limit, and who waits for one.

use std::sync::Arc;

use phoenix_series::{Fingerprint, Hasher, Slot, Table};

use crate::config::{LimitScope, LimitSeries};
use crate::fairness::{Claim, max_min};
use crate::rules::Limit;

/// The places that a rule has for a metric of a resource, for a metric, or for everything that it matches.
#[derive(Debug)]
struct Pool {
    settings: Arc<Limit>,
    taken: usize,
    /// To series that were chosen to get one, and did not come since.
    promised: usize,
    /// How many more may come now, where their rate is limited, and when that was so, in seconds.
    tokens: f64,
    at: u32,
}

/// What one tenant, and one metric where the pool is for several, has of a pool.
#[derive(Debug)]
struct Share {
    pool: Slot,
    tenant: Fingerprint,
    guaranteed: usize,
    most: usize,
    taken: usize,
    promised: usize,
}

/// All pools and their shares.
#[derive(Debug)]
pub(crate) struct Limits {
    pools: Table<Pool>,
    shares: Table<Share>,
}

impl Pool {
    fn settings(&self) -> &LimitSeries {
        &self.settings.settings
    }

    fn refill(&mut self, now: u32) {
        let rate = f64::from(self.settings().new_per_minute);
        let since = f64::from(now.saturating_sub(self.at));
        self.tokens = (self.tokens + since * rate / 60.0).min(rate);
        self.at = now;
    }

    /// Takes a token, where the rate of new series is limited.
    fn spend(&mut self, now: u32) -> bool {
        if self.settings().new_per_minute == 0 {
            return true;
        }
        self.refill(now);
        let has = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(has));
        has
    }
}

impl Limits {
    pub(super) fn new(capacity: usize) -> Limits {
        Limits { pools: Table::new(capacity), shares: Table::new(capacity) }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.pools.set_capacity(capacity);
        self.shares.set_capacity(capacity);
    }

    pub(super) fn memory(&self) -> usize {
        self.pools.memory() + self.shares.memory()
    }

    /// The share that a series has to find its place in; `keys` are of its resource, scope and metric. None where there are too
    /// many of them.
    pub(super) fn share(
        &mut self,
        limit: &Arc<Limit>,
        keys: [Fingerprint; 3],
        tenant: Option<&[u8]>,
        hasher: &Hasher,
        now: u32,
    ) -> Option<Slot> {
        let settings = &limit.settings;
        let rule = hasher.bytes(limit.name.as_bytes());
        let of = match settings.per {
            LimitScope::Resource => hasher.ordered([rule, keys[0], keys[1], keys[2]]),
            LimitScope::Metric => hasher.ordered([rule, keys[2]]),
            LimitScope::Rule => rule,
        };
        let pool = match self.pools.find(of) {
            Some(slot) => slot,
            None => {
                let tokens = f64::from(settings.new_per_minute);
                let pool = Pool { settings: limit.clone(), taken: 0, promised: 0, tokens, at: now };
                self.pools.insert(of, pool).ok()?
            }
        };
        if let Some(pool) = self.pools.get_mut(pool)
            && !Arc::ptr_eq(&pool.settings, limit)
        {
            pool.settings = limit.clone();
        }
        let tenant_key = tenant.map_or_else(Fingerprint::default, |tenant| hasher.bytes(tenant));
        let metric = if settings.per == LimitScope::Rule { keys[2] } else { Fingerprint::default() };
        let key = hasher.ordered([of, tenant_key, metric]);
        let bounds = settings.bounds(tenant.unwrap_or_default());
        let guaranteed = bounds.map_or(0, |bounds| bounds.guaranteed);
        let most = bounds.map(|bounds| bounds.most).filter(|most| *most > 0).unwrap_or(usize::MAX);
        if let Some(slot) = self.shares.find(key) {
            if let Some(share) = self.shares.get_mut(slot) {
                // They may have changed with the settings.
                (share.guaranteed, share.most) = (guaranteed, most);
            }
            return Some(slot);
        }
        let share = Share { pool, tenant: tenant_key, guaranteed, most, taken: 0, promised: 0 };
        self.shares.insert(key, share).ok()
    }

    /// Takes a place, if there is one; one that was promised is there.
    pub(super) fn take(&mut self, slot: Slot, is_promised: bool, now: u32) -> bool {
        let Some(share) = self.shares.get_mut(slot) else { return false };
        let Some(pool) = self.pools.get_mut(share.pool) else { return false };
        if is_promised && share.promised > 0 {
            share.promised -= 1;
            pool.promised = pool.promised.saturating_sub(1);
        } else {
            // Those of a tenant count together where the pool is for several metrics; that is seen to when places are given anew.
            let is_full = pool.taken + pool.promised >= pool.settings().limit
                || share.taken + share.promised >= share.most;
            if is_full || !pool.spend(now) {
                return false;
            }
        }
        share.taken += 1;
        pool.taken += 1;
        true
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, slot: Slot) {
        let Some(share) = self.shares.get_mut(slot) else { return };
        share.taken = share.taken.saturating_sub(1);
        if let Some(pool) = self.pools.get_mut(share.pool) {
            pool.taken = pool.taken.saturating_sub(1);
        }
    }

    /// Promises a place to a series, if the rate allows it.
    pub(super) fn promise(&mut self, slot: Slot, now: u32) -> bool {
        let Some(share) = self.shares.get_mut(slot) else { return false };
        let Some(pool) = self.pools.get_mut(share.pool) else { return false };
        let may = pool.spend(now);
        share.promised += usize::from(may);
        pool.promised += usize::from(may);
        may
    }

    /// Promises that were not taken up are void.
    pub(super) fn forget_promises(&mut self) {
        self.pools.retain(|_, pool| {
            pool.promised = 0;
            true
        });
        self.shares.retain(|_, share| {
            share.promised = 0;
            true
        });
    }

    /// Whether places are given anew anywhere.
    pub(super) fn rebalance(&self) -> bool {
        self.pools.iter().any(|(_, pool)| pool.settings().rebalances())
    }

    /// How a newcomer is compared with who has a place, where places of the share are given anew: none where they are not.
    pub(super) fn hysteresis(&self, slot: Slot) -> Option<f64> {
        let settings = self.pools.get(self.shares.get(slot)?.pool)?.settings();
        settings.rebalances().then_some(if settings.replace { settings.hysteresis } else { f64::INFINITY })
    }

    /// How many places each share gets, by what it asks for: first the tenants of a pool, then the metrics of a tenant.
    pub(super) fn deal(&self, wants: &[(Slot, usize)]) -> Vec<(Slot, usize)> {
        let mut claims: Vec<(Slot, Fingerprint, Slot, Claim)> = wants
            .iter()
            .filter_map(|(slot, wants)| {
                let share = self.shares.get(*slot)?;
                let claim = Claim { wants: *wants, guaranteed: share.guaranteed, most: share.most };
                Some((share.pool, share.tenant, *slot, claim))
            })
            .collect();
        claims.sort_by_key(|(pool, tenant, slot, _)| (*pool, *tenant, *slot));
        let mut dealt = Vec::with_capacity(claims.len());
        for of_pool in claims.chunk_by(|a, b| a.0 == b.0) {
            let Some(pool) = of_pool.first().and_then(|first| self.pools.get(first.0)) else { continue };
            let tenants: Vec<&[_]> = of_pool.chunk_by(|a, b| a.1 == b.1).collect();
            let together: Vec<Claim> = tenants
                .iter()
                .map(|shares| Claim {
                    wants: shares.iter().map(|(.., claim)| claim.wants).sum(),
                    ..shares.first().map(|(.., claim)| *claim).unwrap_or_default()
                })
                .collect();
            for (shares, total) in tenants.iter().zip(max_min(pool.settings().limit, &together)) {
                let own: Vec<Claim> =
                    shares.iter().map(|(.., claim)| Claim { guaranteed: 0, ..*claim }).collect();
                let each = max_min(total, &own);
                dealt.extend(shares.iter().map(|(_, _, slot, _)| *slot).zip(each));
            }
        }
        dealt
    }

    /// Forgets pools and shares without series.
    pub(super) fn tidy(&mut self, now: u32, is_asked_for: impl Fn(Slot) -> bool) {
        self.shares.retain(|slot, share| share.taken > 0 || share.promised > 0 || is_asked_for(slot));
        let used: std::collections::HashSet<Slot> = self.shares.iter().map(|(_, share)| share.pool).collect();
        self.pools.retain(|slot, pool| {
            // One that is empty goes once it would let in as many as a new one.
            used.contains(&slot) || pool.taken > 0 || now.saturating_sub(pool.at) < 60
        });
    }
}
