//! What statements and conditions cost: 100 spans of about 500 bytes with ten attributes each.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use phoenix_ottl::{
    ConditionGroup, Env, ErrorMode, FilterProgram, Group, Scratch, SpanMatcher, StatementProgram, sets,
};
use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed32, put_fixed64, put_message, put_uint};
use phoenix_pdata::{Payload, Signal};

const ROUTES: u64 = 10;
const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";

fn span(out: &mut Vec<u8>, index: u64) {
    put_bytes(out, 1, &[7; 16]);
    put_bytes(out, 2, &index.to_be_bytes());
    put_bytes(out, 4, &[9; 8]);
    put_bytes(out, 5, b"GET /api/v1/products/{id}");
    put_uint(out, 6, 2);
    put_fixed64(out, 7, 1_700_000_000_000_000_000);
    put_fixed64(out, 8, 1_700_000_000_100_000_000);
    let route = format!("/api/v1/products/{}", index % ROUTES);
    put_attribute(out, 9, "http.request.method", &"GET".into());
    put_attribute(out, 9, "http.route", &route.as_str().into());
    put_attribute(out, 9, "url.scheme", &"https".into());
    put_attribute(out, 9, "server.address", &"shop.example.com".into());
    put_attribute(out, 9, "server.port", &443.into());
    put_attribute(
        out,
        9,
        "http.response.status_code",
        &(if index.is_multiple_of(2) { 200 } else { 404 }).into(),
    );
    put_attribute(out, 9, "client.address", &"10.12.33.101".into());
    put_attribute(out, 9, "user_agent.original", &AGENT.into());
    put_attribute(out, 9, "network.protocol.version", &"1.1".into());
    put_attribute(out, 9, "enduser.id", &"user-1234567890".into());
    put_message(out, 15, |out| put_uint(out, 3, 1));
    put_fixed32(out, 16, 257);
}

fn request(spans: u64) -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| {
            put_attribute(out, 1, "service.name", &"checkout".into());
            put_attribute(out, 1, "deployment.environment", &"production".into());
        });
        put_message(out, 2, |out| {
            put_message(out, 1, |out| put_bytes(out, 1, b"io.opentelemetry.http"));
            (0..spans).for_each(|index| put_message(out, 2, |out| span(out, index)));
        });
    });
    Payload::from(Bytes::from(out))
}

fn env() -> Env<'static> {
    Env { now_unix_nanos: 1_700_000_000_000_000_000, random: &|| 4, client: &(), report: &() }
}

fn transform(statements: Vec<String>) -> StatementProgram {
    let group = Group { error_mode: ErrorMode::Ignore, statements, ..Group::default() };
    StatementProgram::compile(Signal::Traces, sets::TRANSFORM, &[group]).unwrap()
}

fn filter(conditions: &[&str]) -> FilterProgram {
    let conditions = conditions.iter().map(|condition| (*condition).to_owned()).collect();
    let group = ConditionGroup { context: None, error_mode: ErrorMode::Ignore, conditions };
    FilterProgram::compile(Signal::Traces, sets::FILTER, &[group]).unwrap()
}

fn texts(statements: &[&str]) -> Vec<String> {
    statements.iter().map(|statement| (*statement).to_owned()).collect()
}

fn transforms(criterion: &mut Criterion) {
    let payload = request(100);
    let mut group = criterion.benchmark_group("transform");
    group.throughput(Throughput::Elements(100));
    let cases = [
        (
            "3 statements",
            texts(&[
                r#"set(span.attributes["x"], "y") where span.attributes["http.route"] == "/api/v1/products/3""#,
                r#"set(span.attributes["tier"], "gold")"#,
                r#"delete_key(span.attributes, "enduser.id")"#,
            ]),
        ),
        (
            "50 that do not match",
            (0..50)
                .map(|index| {
                    format!(r#"set(span.attributes["x"], "y") where span.attributes["http.route"] == "/none/{index}""#)
                })
                .collect(),
        ),
        (
            "50 over 10 attributes that do not match",
            (0..50)
                .map(|index| {
                    let keys = ["http.route", "url.scheme", "server.address", "enduser.id", "client.address"];
                    let key = keys[index % keys.len()];
                    format!(r#"set(span.attributes["x{}"], "y") where span.attributes["{key}"] == "/none/{index}""#, index % 5)
                })
                .collect(),
        ),
        ("set a field", texts(&[r#"set(span.name, "renamed")"#])),
        ("regex", texts(&[r#"replace_pattern(span.name, "/products/([^/]+)", "/p/$1")"#])),
        ("resource", texts(&[r#"set(resource.attributes["x"], "y")"#])),
        (
            "by resource that does not match",
            texts(&[r#"set(span.attributes["x"], "y") where IsMatch(resource.attributes["service.name"], "^ba.*d$")"#]),
        ),
    ];
    for (name, statements) in cases {
        let program = transform(statements);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(program.apply(black_box(&payload), &env())).unwrap());
        });
    }
}

fn filters(criterion: &mut Criterion) {
    let payload = request(100);
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(100));
    let cases: [(&str, &[&str]); 3] = [
        (
            "3 conditions, half",
            &[
                r#"span.attributes["http.route"] == "/none""#,
                r#"span.attributes["http.response.status_code"] == 404"#,
                r#"IsMatch(span.name, "^POST")"#,
            ],
        ),
        ("none", &[r#"span.attributes["http.route"] == "/none""#]),
        (
            "by resource",
            &[r#"resource.attributes["service.name"] == "other" and span.kind == SPAN_KIND_SERVER"#],
        ),
    ];
    for (name, conditions) in cases {
        let program = filter(conditions);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(program.apply(black_box(&payload), &env())).unwrap());
        });
    }
}

fn sessions(criterion: &mut Criterion) {
    let payload = request(100);
    let condition = [r#"span.attributes["http.response.status_code"] >= 500"#.to_owned()];
    let matcher = SpanMatcher::compile(sets::CONDITIONS, &condition, &[], ErrorMode::Silent).unwrap();
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(100));
    group.bench_function("one condition", |bencher| {
        bencher.iter(|| {
            let scratch = Scratch::default();
            let mut session = matcher.begin(&scratch, env());
            let mut count = 0;
            for entry in payload.resource_spans() {
                session.resource(&entry);
                for scope in entry.scopes() {
                    session.scope(&scope);
                    for span in scope.records().bodies() {
                        count += usize::from(session.matches(black_box(span)).unwrap());
                    }
                }
            }
            count
        });
    });
}

fn compile(criterion: &mut Criterion) {
    criterion.bench_function("compile a statement", |bencher| {
        bencher.iter(|| {
            transform(texts(&[
                r#"set(span.attributes["x"], "y") where span.attributes["http.route"] == "/x" and IsMatch(span.name, "^GET")"#,
            ]))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = transforms, filters, sessions, compile
}
criterion_main!(benches);
