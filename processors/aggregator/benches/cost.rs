//! What a data point costs by the workloads of the whole collector: senders of counters, histograms and gauges with ten
//! attributes, in windows that are let out on the way. `cargo bench -p phoenix-processor-aggregator --bench cost [-- by|tiers]`.
//!
//! It prints time on the core. Instructions do not mind what else the machine does: run what the line `Running` names under
//! `valgrind --tool=callgrind --toggle-collect='cost::first'` for streams that come first, and `'cost::further'` for those that
//! are known.

#![allow(clippy::print_stdout, reason = "its figures are read by people")]

mod load;

use load::{Driven, Of, Request, on_core};
use phoenix_component::Batch;

/// Senders of twenty streams each.
const SENDERS: u64 = 1000;
/// Senders whose data comes in one request.
const TOGETHER: u64 = 5;
/// Reports of each sender, ten seconds apart.
const REPORTS: u64 = 12;

const TEXTS: [&str; 8] = ["orders", "invoices", "refunds", "carts", "users", "events", "reports", "sessions"];

fn request(first: u64, seconds: u64) -> Batch {
    let mut request = Request::default();
    for sender in first..first + TOGETHER {
        let service = ["checkout", "payments", "inventory", "accounts"][sender as usize % 4];
        let pod = format!("{service}-6d5f7-{sender:08x}");
        let node = format!("node-{}.eu-west-1.example.internal", sender % 100);
        let resource = [
            ("service.name", service.into()),
            ("service.version", "2.7.1".into()),
            ("service.instance.id", pod.as_str().into()),
            ("deployment.environment.name", "production".into()),
            ("host.name", node.as_str().into()),
            ("k8s.namespace.name", "shop".into()),
            ("k8s.pod.name", pod.as_str().into()),
            ("cloud.region", "eu-west-1".into()),
        ];
        request = request.resource(&resource, |scope| {
            let kinds = [Of::Counter, Of::Counter, Of::Counter, Of::Gauge, Of::Histogram];
            for (number, of) in kinds.into_iter().enumerate() {
                scope.metric(&format!("app.requests.{number}"), of, 4, seconds, |point, hand| {
                    let text = TEXTS[(sender + point) as usize % TEXTS.len()];
                    let path = format!("/api/v2/accounts/{}/{text}", 10_000 + sender);
                    let route = format!("/api/v2/accounts/{{id}}/{text}");
                    let thread = format!("http-worker-{point}");
                    hand(&[
                        ("http.request.method", "GET".into()),
                        ("url.path", path.as_str().into()),
                        ("http.route", route.as_str().into()),
                        ("http.response.status_code", 200.into()),
                        ("server.address", "payments-7.prod.example.internal".into()),
                        ("server.port", 8443.into()),
                        ("user_agent.original", "okhttp/4.12.0 (Linux; Android 14)".into()),
                        ("client.address", "10.1.2.3".into()),
                        ("thread.name", thread.as_str().into()),
                        ("session.id", pod.as_str().into()),
                    ]);
                });
            }
        });
    }
    request.batch()
}

/// The first report of all senders: streams and series are made.
#[inline(never)]
fn first(driven: &mut Driven, requests: Vec<Batch>) {
    requests.into_iter().for_each(|batch| driven.send(batch));
    driven.settle();
}

/// One report of all senders.
#[inline(never)]
fn further(driven: &mut Driven, requests: Vec<Batch>) {
    requests.into_iter().for_each(|batch| driven.send(batch));
    driven.settle();
}

fn main() {
    let wanted = std::env::args().skip(1).find(|text| !text.starts_with('-'));
    let taken = r#""match": {"kinds": ["counter", "histogram"]}, "by": ["service.name", "http.route"]"#;
    let by = format!(r#"{{"id": "by-route", {taken}}}"#);
    let tiers: Vec<_> = (0..10)
        .map(|n| format!(r#"{{"id": "{n}", {taken}, "name": "{{rule}}.{{name}}", "interval": "10s", "tiers": [{{"interval": "1m"}}, {{"interval": "5m"}}]}}"#))
        .collect();
    for (name, rules) in [("by", by), ("tiers", tiers.join(","))] {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut driven = Driven::new(&rules, "");
        let requests = |seconds| (0..SENDERS / TOGETHER).map(|n| request(n * TOGETHER, seconds)).collect();
        let began = on_core();
        first(&mut driven, requests(3));
        let streams = driven.metrics.sum("phoenix_processor_aggregator_streams", &[]);
        println!(
            "{name}: {} ns a stream of {streams} that comes first",
            (on_core() - began).as_nanos() / streams as u128
        );
        let (mut spent, mut points) = (std::time::Duration::ZERO, 0);
        for number in 1..REPORTS {
            let requests: Vec<Batch> = requests(3 + number * 10);
            points += requests.iter().map(|batch| batch.items).sum::<u64>();
            let began = on_core();
            further(&mut driven, requests);
            spent += on_core() - began;
        }
        println!(
            "{name}: {} ns a data point of {points}, longest call {:?}, let out {}",
            spent.as_nanos() / u128::from(points),
            driven.longest,
            driven.let_out
        );
    }
}
