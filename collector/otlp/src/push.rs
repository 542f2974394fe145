//! One attempt over gRPC, and what its answer means.

use std::time::Duration;

use http::HeaderMap;
use phoenix_component::{Batch, Code, ComponentKey, Host, Refusal, StartError};
use phoenix_delivery::{Delivered, PartialSuccess, PartialSuccessLog, Push};
use phoenix_pdata::{Codings, Signal};
use phoenix_telemetry::traces::Tracer;
use phoenix_transport::compression::Compressor;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::client::{Client, Method};
use phoenix_transport::instrumentation::RpcMetrics;
use phoenix_transport::settings::AuthSettings;
use phoenix_transport::trace;
use tokio::time::Instant;

use crate::OtlpGrpcConfig;

/// Longest answer that is read.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// Sends one signal to one target, by one attempt at a time. Nothing is connected before the first.
pub struct GrpcPush {
    client: Client,
    method: Method,
    compressor: Compressor,
    timeout: Option<Duration>,
    /// Of single requests: none.
    metadata: HeaderMap,
    tracer: Tracer,
    partial: PartialSuccessLog,
    rpc: RpcMetrics,
    extra_codes: Vec<Code>,
    auth: Option<AuthSettings>,
}

impl GrpcPush {
    /// Sends `signal` where the settings say, for the component `key`.
    ///
    /// # Errors
    /// Where endpoint, TLS or a proxy are not usable.
    pub fn new(
        config: &OtlpGrpcConfig,
        host: &Host,
        key: &ComponentKey,
        signal: Signal,
    ) -> Result<GrpcPush, StartError> {
        let block = config.grpc();
        let mut options = block.options(host).map_err(StartError::because)?;
        options.max_response_bytes = MAX_RESPONSE_BYTES;
        let client = Client::new(options, &host.cores).map_err(StartError::because)?;
        Ok(GrpcPush {
            compressor: block.compressor(),
            method: client.method(path(signal)),
            client,
            timeout: config.timeout.is_positive().then(|| config.timeout.as_duration()),
            metadata: HeaderMap::new(),
            tracer: host.tracer.clone(),
            partial: PartialSuccessLog::new(key, signal),
            rpc: RpcMetrics::client(&host.metrics, path(signal)),
            extra_codes: config.extra_codes(),
            auth: config.auth.get().cloned(),
        })
    }

    fn refusal(&self, status: Status) -> Refusal {
        refusal(status, &self.extra_codes)
    }
}

impl Push for GrpcPush {
    async fn start(&self, host: &Host) -> Result<(), StartError> {
        let Some(auth) = &self.auth else { return Ok(()) };
        self.client.authorize_with(auth.client(&host.capabilities)?).map_err(StartError::because)
    }

    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let left = batch.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = [self.timeout, left].into_iter().flatten().min();
        let name = || path(batch.signal).trim_start_matches('/').to_owned();
        let mut attempt = trace::attempt(&self.tracer, batch.trace, name, &self.metadata);
        let message = self.compressor.message(batch.payload);
        let metadata = attempt.as_ref().map_or(&self.metadata, |(_, metadata)| metadata);
        let begun = self.rpc.begin();
        let client = batch.client.as_deref();
        let answer = self.client.call_for(&self.method, message, timeout, metadata, client).await;
        if let Some(begun) = begun {
            self.rpc.record(answer.as_ref().map_or_else(|status| status.code, |_| Code::OK), begun.elapsed());
        }
        if let Err(status) = &answer {
            trace::failed(&mut attempt, status);
        }
        match PartialSuccess::parse(&answer.map_err(|status| self.refusal(status))?) {
            Ok(None) => Ok(Delivered::whole()),
            Ok(Some(partial)) => Ok(self.partial.note(&partial)),
            Err(_) => {
                let text = "grpc: failed to unmarshal the received message";
                Err(self.refusal(Status::new(Code::INTERNAL, text)))
            }
        }
    }

    fn forwards(&self) -> Codings {
        self.compressor.forwards()
    }

    fn timed_out(&self) -> Refusal {
        self.refusal(Status::new(Code::DEADLINE_EXCEEDED, "context deadline exceeded"))
    }
}

/// What a status means for the batch, as the OTLP specification and otelcol have it, and `extra_codes`.
fn refusal(status: Status, extra_codes: &[Code]) -> Refusal {
    let delay = status.retry_delay();
    let retryable = match status.code {
        Code::CANCELLED
        | Code::DEADLINE_EXCEEDED
        | Code::ABORTED
        | Code::OUT_OF_RANGE
        | Code::UNAVAILABLE
        | Code::DATA_LOSS => true,
        // Without a word on when, the backend does not expect to recover.
        Code::RESOURCE_EXHAUSTED if delay.is_some() => true,
        code => extra_codes.contains(&code),
    };
    let text = status.to_string();
    let refusal = match retryable {
        true => Refusal::retryable(status.code.name(), text),
        false => Refusal::permanent(status.code.name(), text),
    };
    let refusal = match delay.filter(|delay| retryable && !delay.is_zero()) {
        Some(delay) => refusal.after(delay),
        None => refusal,
    };
    refusal.with_status(status.code, status.details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_retried_or_not_as_the_specification_says() {
        for code in 1..=17 {
            let refusal = refusal(Status::new(Code(code), "x"), &[]);
            assert_eq!(refusal.is_retryable(), [1, 4, 10, 11, 14, 15].contains(&code), "{code}");
            assert_eq!((refusal.code(), refusal.delay()), (Code(code), None));
        }
        let exhausted =
            |delay| refusal(Status::new(Code::RESOURCE_EXHAUSTED, "x").with_retry_delay(delay), &[]);
        let told = exhausted(Duration::from_secs(7));
        assert_eq!((told.is_retryable(), told.delay()), (true, Some(Duration::from_secs(7))));
        let at_once = exhausted(Duration::ZERO);
        assert_eq!((at_once.is_retryable(), at_once.delay()), (true, None));
        assert!(!at_once.status().unwrap().details.is_empty(), "the sender hears what the backend said");
        let bad =
            refusal(Status::new(Code::INVALID_ARGUMENT, "bad").with_retry_delay(Duration::from_secs(1)), &[]);
        assert_eq!((bad.delay(), bad.message()), (None, "rpc error: code = InvalidArgument desc = bad"));
        for code in [Code::INTERNAL, Code::RESOURCE_EXHAUSTED] {
            assert!(refusal(Status::new(code, "x"), &[code]).is_retryable());
        }
    }
}
