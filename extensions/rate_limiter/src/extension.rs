use std::sync::Arc;
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::{
    Arrival, BoxFuture, ClientKey, Extension, Host, Publication, RequestLimiter, Slot, StartError,
};
use phoenix_config::Kind;
use phoenix_telemetry::{Counter, Description};
use tokio::time::Instant;

use crate::RateLimiterConfig;
use crate::buckets::{Buckets, Charge, Rate, Taken};
use crate::key::Keys;

const LIMITED: Description = Description {
    name: "phoenix_rate_limiter_refused",
    unit: "{request}",
    text: "Requests refused because their client sends too much.",
};

const SHARED: Description = Description {
    name: "phoenix_rate_limiter_shared",
    unit: "{request}",
    text: "Requests of clients that are not told apart, since there are more than `max_clients`.",
};

/// Limits what each client may send.
pub struct RateLimiter(Publication<dyn RequestLimiter>);

struct Limits {
    keys: Keys,
    buckets: Buckets,
    refused: Counter,
    shared: Counter,
}

impl RateLimiter {
    /// An extension that is not published yet.
    pub fn new(config: &RateLimiterConfig, cx: &CreateContext<'_>) -> RateLimiter {
        let id = cx.id.to_string();
        let counter = |description| cx.host.metrics.counter(description, &[("extension", id.as_str())]);
        let limits = Limits {
            keys: Keys::new(config.key.clone()),
            buckets: Buckets::new(
                Rate::new(f64::from(config.requests_per_second), f64::from(config.requests_burst)),
                Rate::new(config.items_per_second as f64, config.items_burst as f64),
                Rate::new(config.bytes_per_second as f64, config.bytes_burst as f64),
                config.max_clients.get(),
            ),
            refused: counter(LIMITED),
            shared: counter(SHARED),
        };
        let slot = cx.shared.get_or_make(Kind::Extension, cx.id, Slot::<dyn RequestLimiter>::default);
        RateLimiter(Publication::new(cx.id, slot, Arc::new(limits)))
    }
}

impl Extension for RateLimiter {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        self.0.start(host);
        Box::pin(std::future::ready(Ok(())))
    }

    fn pipelines_ready(&self, ready: bool) {
        self.0.pipelines_ready(ready);
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        self.0.stop();
        Box::pin(std::future::ready(()))
    }
}

impl RequestLimiter for Limits {
    fn admit(&self, arrival: &Arrival<'_>, now: Instant) -> Result<ClientKey, Duration> {
        let key = self.keys.of(arrival);
        match self.buckets.take(key, now) {
            Ok(Taken::Own) => {}
            Ok(Taken::Shared) => self.shared.add(1),
            Err(delay) => {
                self.refused.add(1);
                return Err(delay);
            }
        }
        Ok(key)
    }

    fn received(&self, key: ClientKey, bytes: usize, now: Instant) {
        self.buckets.charge(key, Charge::Bytes(bytes as u64), now);
    }

    fn counted(&self, key: ClientKey, items: u64, now: Instant) {
        self.buckets.charge(key, Charge::Items(items), now);
    }
}
