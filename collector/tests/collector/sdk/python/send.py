"""Sends traces, metrics and logs with the OpenTelemetry SDK, over gRPC and over HTTP.

send.py GRPC_ENDPOINT HTTP_ENDPOINT: prints, as JSON lines, the OTLP messages that the exporters sent.
"""

import json
import logging
import sys

from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode


def tell(signal, protocol, message):
    """Prints what an exporter is about to send."""
    print(json.dumps({"signal": signal, "protocol": protocol, "hex": message.SerializeToString().hex()}))


def telling(exporter, signal, protocol, encode):
    """The exporter, which says what it sends before it sends it."""
    send = exporter.export

    def export(data, *args, **kwargs):
        tell(signal, protocol, encode(data))
        result = send(data, *args, **kwargs)
        assert result.name == "SUCCESS", f"{signal} over {protocol}: {result}"
        return result

    exporter.export = export
    return exporter


def send(protocol, spans, metrics, logs):
    """Sends some of each signal."""
    resource = Resource.create({"service.name": f"sdk-{protocol}", "numbers": [1, 2, 3], "ratio": 0.25})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(telling(spans, "traces", protocol, encode_spans)))
    tracer = tracing.get_tracer("sdk-test", "1.2.3")
    for number in range(50):
        with tracer.start_as_current_span(f"parent {number}", attributes={"n": number, "text": "grüße"}) as parent:
            with tracer.start_as_current_span("child") as child:
                child.add_event("happened", {"ok": True})
                child.set_status(Status(StatusCode.ERROR, "went wrong"))
            parent.add_link(child.get_span_context(), {"why": "test"})
    tracing.shutdown()

    reader = PeriodicExportingMetricReader(telling(metrics, "metrics", protocol, encode_metrics), 3_600_000)
    metering = MeterProvider(resource=resource, metric_readers=[reader])
    meter = metering.get_meter("sdk-test")
    counter, up_down = meter.create_counter("requests", "1"), meter.create_up_down_counter("open")
    histogram, gauge = meter.create_histogram("latency", "ms"), meter.create_gauge("temperature")
    for number in range(20):
        counter.add(number, {"route": f"/{number % 4}"})
        up_down.add(-number)
        histogram.record(number * 1.5, {"route": "/"})
        gauge.set(20 + number / 3)
    metering.shutdown()

    logging_provider = LoggerProvider(resource=resource)
    set_logger_provider(logging_provider)
    logging_provider.add_log_record_processor(BatchLogRecordProcessor(telling(logs, "logs", protocol, encode_logs)))
    logger = logging.getLogger(f"sdk-{protocol}")
    logger.addHandler(LoggingHandler(logger_provider=logging_provider))
    for number in range(20):
        logger.warning("record %d", number, extra={"n": number})
    logging_provider.shutdown()


def main(grpc_endpoint, http_endpoint):
    """Sends over both protocols."""
    grpc = {"endpoint": grpc_endpoint, "insecure": True}
    send("grpc", GrpcSpans(**grpc), GrpcMetrics(**grpc), GrpcLogs(**grpc))
    http = [f"{http_endpoint}/v1/{signal}" for signal in ("traces", "metrics", "logs")]
    send("http", HttpSpans(http[0]), HttpMetrics(http[1]), HttpLogs(http[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
