use std::fmt;

/// Where a span stands: its trace, itself, and whether somebody records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace; not zero.
    pub trace_id: [u8; 16],
    /// The span; not zero.
    pub span_id: [u8; 8],
    /// Whether it is recorded.
    pub sampled: bool,
    /// Whether it came from another process.
    pub remote: bool,
}

/// How contexts travel in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagator {
    /// W3C: `traceparent`.
    TraceContext,
    /// B3: `b3`, or `x-b3-traceid` and others when reading.
    B3,
}

const TRACEPARENT: &str = "traceparent";
const B3: &str = "b3";

impl SpanContext {
    fn new(trace: &str, span: &str, sampled: bool) -> Option<SpanContext> {
        let context = SpanContext { trace_id: hex(trace)?, span_id: hex(span)?, sampled, remote: true };
        (context.trace_id != [0; 16] && context.span_id != [0; 8]).then_some(context)
    }

    /// Reads W3C's `traceparent`. A higher version counts as far as version 0 knows it.
    pub fn parse_traceparent(text: &str) -> Option<SpanContext> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = hex::<1>(version)?;
        let [flags] = hex::<1>(flags)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        SpanContext::new(trace, span, flags & 1 == 1)
    }

    /// Reads B3's single header: `trace-span`, with `-sampled` and `-parent` behind it or not.
    pub fn parse_b3(text: &str) -> Option<SpanContext> {
        let mut parts = text.trim().split('-');
        let (trace, span) = (parts.next()?, parts.next()?);
        let sampled = matches!(parts.next(), Some("1" | "d"));
        SpanContext::new(&wide(trace), span, sampled)
    }

    /// The context that a propagator finds among headers.
    pub fn extract<'a>(
        propagators: &[Propagator],
        header: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Option<SpanContext> {
        propagators.iter().find_map(|propagator| match propagator {
            Propagator::TraceContext => SpanContext::parse_traceparent(header(TRACEPARENT)?),
            Propagator::B3 => header(B3).and_then(SpanContext::parse_b3).or_else(|| {
                let sampled = matches!(header("x-b3-sampled"), Some("1" | "true"));
                let sampled = sampled || header("x-b3-flags") == Some("1");
                SpanContext::new(&wide(header("x-b3-traceid")?), header("x-b3-spanid")?, sampled)
            }),
        })
    }

    /// The headers that carry the context on.
    pub fn headers(self, propagators: &[Propagator]) -> impl Iterator<Item = (&'static str, String)> {
        let flag = u8::from(self.sampled);
        let write = move |propagator: &Propagator| match propagator {
            Propagator::TraceContext => {
                (TRACEPARENT, format!("00-{}-{}-{flag:02x}", Hex(&self.trace_id), Hex(&self.span_id)))
            }
            Propagator::B3 => (B3, format!("{}-{}-{flag}", Hex(&self.trace_id), Hex(&self.span_id))),
        };
        propagators.iter().map(write)
    }
}

/// B3 knows traces of 64 bits.
fn wide(trace: &str) -> String {
    if trace.len() == 16 { format!("{:0>32}", trace) } else { trace.to_owned() }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Bytes in lower-case hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
