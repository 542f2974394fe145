// Sends traces, metrics and logs with the OpenTelemetry SDK over HTTP/JSON.
//
// send.mjs HTTP_ENDPOINT: prints, as JSON lines, the OTLP messages that the exporters sent.

import { SpanStatusCode } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  JsonLogsSerializer,
  JsonMetricsSerializer,
  JsonTraceSerializer,
} from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const endpoint = process.argv[2];
const resource = resourceFromAttributes({
  "service.name": "sdk-javascript",
  numbers: [1, 2, 3],
  large: Number.MAX_SAFE_INTEGER,
  ratio: 0.25,
});

/** The exporter, which says what it sends before it sends it, and ends the program where that fails. */
function telling(exporter, signal, serializer) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) => {
    const text = new TextDecoder().decode(serializer.serializeRequest(items));
    console.log(JSON.stringify({ signal, json: text }));
    send(items, (result) => {
      if (result.code !== 0) {
        console.error(signal, result);
        process.exitCode = 1;
      }
      done(result);
    });
  };
  return exporter;
}

const traces = new OTLPTraceExporter({ url: `${endpoint}/v1/traces` });
const tracing = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(telling(traces, "traces", JsonTraceSerializer))],
});
const tracer = tracing.getTracer("sdk-test", "1.2.3");
for (let number = 0; number < 50; number++) {
  const span = tracer.startSpan(`span ${number}`, { attributes: { number, text: "grüße \u{1F980} \"quoted\"" } });
  span.addEvent("happened", { ok: true, ratio: number / 3 });
  span.setStatus({ code: SpanStatusCode.ERROR, message: "went wrong" });
  span.end();
}
await tracing.shutdown();

const metrics = new OTLPMetricExporter({ url: `${endpoint}/v1/metrics` });
const reader = new PeriodicExportingMetricReader({
  exporter: telling(metrics, "metrics", JsonMetricsSerializer),
  exportIntervalMillis: 3_600_000,
});
const metering = new MeterProvider({ resource, readers: [reader] });
const meter = metering.getMeter("sdk-test");
const [counter, histogram] = [meter.createCounter("requests"), meter.createHistogram("latency", { unit: "ms" })];
const upDown = meter.createUpDownCounter("open");
for (let number = 0; number < 20; number++) {
  counter.add(number, { route: `/${number % 4}` });
  upDown.add(-number);
  histogram.record(number * 1.5, { route: "/" });
}
await metering.shutdown();

const logs = new OTLPLogExporter({ url: `${endpoint}/v1/logs` });
const logging = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor(telling(logs, "logs", JsonLogsSerializer))],
});
const logger = logging.getLogger("sdk-test");
for (let number = 0; number < 20; number++) {
  logger.emit({
    severityNumber: SeverityNumber.WARN,
    severityText: "WARN",
    body: { text: "a structured body", number },
    attributes: { number, nested: { list: [1, "two", false] } },
  });
}
await logging.shutdown();
