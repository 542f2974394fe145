// Sends traces, metrics and logs with the OpenTelemetry SDK for Go, over gRPC and over HTTP.
//
// main GRPC_ADDRESS HTTP_ADDRESS: prints the number of records of each signal, as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const spans, points, records = 100, 8, 40

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func send(ctx context.Context, traces *otlptrace.Exporter, metrics sdkmetric.Exporter, logs sdklog.Exporter) {
	service := resource.NewSchemaless(attribute.String("service.name", "sdk-go"), attribute.Bool("ready", true))

	tracing := sdktrace.NewTracerProvider(sdktrace.WithBatcher(traces), sdktrace.WithResource(service))
	tracer := tracing.Tracer("sdk-test")
	for number := range spans / 2 {
		parent, span := tracer.Start(ctx, "parent")
		span.SetAttributes(attribute.Int("number", number), attribute.StringSlice("texts", []string{"a", "b"}))
		_, child := tracer.Start(parent, "child")
		child.AddEvent("happened")
		child.SetStatus(codes.Error, "went wrong")
		child.End()
		span.End()
	}
	check(tracing.Shutdown(ctx))

	reader := sdkmetric.NewPeriodicReader(metrics)
	metering := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(service))
	meter := metering.Meter("sdk-test")
	counter, err := meter.Int64Counter("requests")
	check(err)
	histogram, err := meter.Float64Histogram("latency")
	check(err)
	for number := range 20 {
		route := metric.WithAttributes(attribute.Int("route", number%(points/2)))
		counter.Add(ctx, int64(number), route)
		histogram.Record(ctx, float64(number)*1.5, route)
	}
	check(metering.Shutdown(ctx))

	logging := sdklog.NewLoggerProvider(
		sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)), sdklog.WithResource(service))
	logger := logging.Logger("sdk-test")
	for range records {
		var record otellog.Record
		record.SetBody(attribute.StringValue("something happened"))
		record.AddAttributes(attribute.Int("one", 1), attribute.Float64Slice("many", []float64{0.5, 2}))
		logger.Emit(ctx, record)
	}
	check(logging.Shutdown(ctx))
}

func main() {
	ctx := context.Background()
	grpc, http := os.Args[1], os.Args[2]

	traces, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(grpc), otlptracegrpc.WithInsecure())
	check(err)
	metrics, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(grpc), otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithCompressor("gzip"))
	check(err)
	logs, err := otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(grpc), otlploggrpc.WithInsecure())
	check(err)
	send(ctx, traces, metrics, logs)

	traces, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(http), otlptracehttp.WithInsecure(),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	check(err)
	httpMetrics, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(http), otlpmetrichttp.WithInsecure())
	check(err)
	httpLogs, err := otlploghttp.New(ctx, otlploghttp.WithEndpoint(http), otlploghttp.WithInsecure())
	check(err)
	send(ctx, traces, httpMetrics, httpLogs)

	check(json.NewEncoder(os.Stdout).Encode(map[string]int{
		"traces": 2 * spans, "metrics": 2 * points, "logs": 2 * records,
	}))
}
