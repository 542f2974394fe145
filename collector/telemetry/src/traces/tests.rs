use std::sync::{Arc, Mutex};

use super::*;
use crate::logs::Value;

#[derive(Default)]
struct Kept(Mutex<Vec<FinishedSpan>>);

impl SpanSink for Kept {
    fn take(&self, span: FinishedSpan) {
        self.0.lock().unwrap().push(span);
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn on(options: TracerOptions) -> (Tracer, Arc<Kept>) {
    let (tracer, kept) = (Tracer::default(), Arc::new(Kept::default()));
    tracer.apply(TracerOptions { sink: Some(kept.clone()), ..options });
    (tracer, kept)
}

#[test]
fn a_tracer_that_is_off_makes_nothing() {
    let tracer = Tracer::default();
    assert!(tracer.span(Kind::Internal, None, || unreachable!("not even a name")).is_none());
    assert!(tracer.extract(|_| Some(PARENT)).is_none());
    let (tracer, _) = on(TracerOptions::default());
    assert!(tracer.is_on());
    tracer.apply(TracerOptions::default());
    assert!(!tracer.is_on());
}

#[test]
fn spans_hang_together_and_end_when_dropped() {
    let (tracer, kept) = on(TracerOptions { attributes: 2, attribute_length: 3, ..TracerOptions::default() });
    let parent = tracer.extract(|name| (name == "traceparent").then_some(PARENT));
    let mut outer = tracer.span(Kind::Server, parent, || "outer".to_owned()).unwrap();
    let inner = tracer.span(Kind::Internal, Some(outer.context()), || "inner".to_owned());
    outer.set("count", 7);
    outer.set("text", "äöüß");
    outer.set("too many", 1);
    outer.fail("no");
    assert!(kept.0.lock().unwrap().is_empty());
    drop(inner);
    let context = outer.context();
    drop(outer);
    let spans = kept.0.lock().unwrap();
    let [inner, outer] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((inner.parent, inner.context.trace_id), (Some(context), parent.unwrap().trace_id));
    assert_eq!(outer.parent, parent);
    assert_eq!(outer.attributes, [("count", Value::Int(7)), ("text", "äöü".into())]);
    assert_eq!((outer.left_out, outer.error.as_deref()), (1, Some("no")));
    let headers = tracer.headers(context);
    assert_eq!(headers.len(), 1);
    let read = SpanContext::parse_traceparent(&headers[0].1).unwrap();
    assert_eq!(read, SpanContext { remote: true, ..context });
}

#[test]
fn contexts_are_read_as_far_as_they_are_right() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (text, sampled) in [
        (PARENT.to_owned(), Some(true)),
        (format!("00-{trace}-b7ad6b7169203331-00"), Some(false)),
        (format!("01-{trace}-b7ad6b7169203331-01-more"), Some(true)),
        (format!("00-{trace}-b7ad6b7169203331-01-more"), None),
        (format!("ff-{trace}-b7ad6b7169203331-01"), None),
        (format!("00-{trace}-0000000000000000-01"), None),
        (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), None),
        (format!("00-{trace}-b7ad6b716920333x-01"), None),
        ("00-é".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(SpanContext::parse_traceparent(&text).map(|c| c.sampled), sampled, "{text}");
    }
    let b3 = [Propagator::B3];
    let single =
        SpanContext::extract(&b3, |name| (name == "b3").then_some("8448eb211c80319c-b7ad6b7169203331-d"));
    let multiple = SpanContext::extract(&b3, |name| match name {
        "x-b3-traceid" => Some("8448eb211c80319c"),
        "x-b3-spanid" => Some("b7ad6b7169203331"),
        "x-b3-sampled" => Some("1"),
        _ => None,
    });
    assert_eq!(single, multiple);
    let context = single.unwrap();
    assert_eq!((context.trace_id[..8].to_vec(), context.sampled), (vec![0; 8], true));
    let sent: Vec<_> = context.headers(&b3).collect();
    assert_eq!(sent, [("b3", format!("{}8448eb211c80319c-b7ad6b7169203331-1", "0".repeat(16)))]);
}

#[test]
fn samplers_decide_by_trace_and_parent() {
    let trace = |lower: u64| {
        let mut id = [1; 16];
        id[8..].copy_from_slice(&lower.to_be_bytes());
        id
    };
    let half = Sampler::Ratio(0.5);
    assert!(half.samples(&trace(0), None) && half.samples(&trace(u64::MAX / 4), None));
    assert!(!half.samples(&trace(u64::MAX / 4 * 3), None));
    assert!(Sampler::Ratio(1.0).samples(&trace(u64::MAX), None));
    assert!(!Sampler::Ratio(0.0).samples(&trace(0), None));
    let parent = |sampled| SpanContext { sampled, ..SpanContext::parse_traceparent(PARENT).unwrap() };
    let rules = Sampler::parent_based(Sampler::AlwaysOff);
    assert!(rules.samples(&trace(0), Some(parent(true))));
    assert!(!rules.samples(&trace(0), Some(parent(false))));
    assert!(!rules.samples(&trace(0), None));
    let (tracer, kept) = on(TracerOptions { sampler: rules, ..TracerOptions::default() });
    drop(tracer.span(Kind::Internal, None, || "not recorded".to_owned()));
    assert!(kept.0.lock().unwrap().is_empty());
}

#[test]
fn recent_spans_are_kept_while_somebody_watches() {
    let tracer = Tracer::default();
    let watch = tracer.watch();
    let running = tracer.span(Kind::Internal, None, || "work".to_owned()).unwrap();
    for round in 0..25 {
        let mut span = tracer.span(Kind::Internal, None, || "work".to_owned()).unwrap();
        span.set("round", round);
        if round % 2 == 0 {
            span.fail("even");
        }
    }
    let [summary] = tracer.recent().summaries().try_into().unwrap();
    assert_eq!((summary.name.as_str(), summary.running, summary.errors), ("work", 1, 13));
    assert_eq!(summary.latency.iter().sum::<u64>(), 12);
    let errors = tracer.recent().samples("work", Samples::Errors);
    assert_eq!(errors.len(), 10);
    assert_eq!(errors[9].attributes, [("round", Value::Int(24))]);
    assert_eq!(tracer.recent().running("work")[0].context, running.context());
    for name in 0..1100 {
        drop(tracer.span(Kind::Internal, None, || format!("name {name}")));
    }
    assert_eq!(tracer.recent().summaries().len(), 1001);
    drop(watch);
    assert!(!tracer.is_on() && tracer.recent().summaries().is_empty());
}
