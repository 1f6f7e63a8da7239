package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Config says what a process measures and where it goes. The zero value measures nothing.
type Config struct {
	// Service is the process's name in traces and metrics: "narrowcast-segment".
	Service string
	// Version and Instance tell builds and replicas apart; empty ones are left out.
	Version, Instance string
	// OTLPEndpoint receives traces by OTLP over gRPC: "http://collector:4317", "https://..." for TLS; "host:port" is without TLS.
	// Empty: no traces.
	OTLPEndpoint string
	// SampleRatio is the share of traces begun here that are kept, above 0 and up to 1; 0 means 1. Calls that arrive with a
	// trace follow the decision made where it began.
	SampleRatio float64
	// Prometheus collects metrics for [Telemetry.Metrics].
	Prometheus bool
}

// Validate reports settings that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if c.SampleRatio < 0 || c.SampleRatio > 1 || c.SampleRatio != c.SampleRatio {
		errs = append(errs, fmt.Errorf("the share of traces to keep is %v; give one from 0 to 1", c.SampleRatio))
	}
	if scheme, _, ok := strings.Cut(c.OTLPEndpoint, "://"); ok && scheme != "http" && scheme != "https" {
		errs = append(errs, fmt.Errorf("the trace endpoint's scheme is %q; use http or https", scheme))
	}
	return errors.Join(errs...)
}

// Telemetry is what the parts of a process are handed. Make one with [New] or [Noop].
type Telemetry struct {
	// TracerProvider makes tracers; never nil.
	TracerProvider trace.TracerProvider
	// MeterProvider makes meters; never nil.
	MeterProvider metric.MeterProvider
	// Propagator carries traces between processes.
	Propagator propagation.TextMapPropagator
	// Metrics serves the metrics to Prometheus; it answers 404 where they are not collected.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// Propagator returns the W3C form in which traces and baggage cross processes.
func Propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// Noop measures nothing. Traces of callers still pass through it.
func Noop() *Telemetry {
	return &Telemetry{
		TracerProvider: tracenoop.NewTracerProvider(),
		MeterProvider:  metricnoop.NewMeterProvider(),
		Propagator:     Propagator(),
		Metrics:        http.NotFoundHandler(),
	}
}

// New makes the providers. It does not wait for the collector: one that is away loses traces and nothing else.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	t := Noop()
	res, err := newResource(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	if cfg.OTLPEndpoint != "" {
		if err := t.traces(ctx, cfg, res); err != nil {
			return nil, fmt.Errorf("set up traces: %w", err)
		}
	}
	if cfg.Prometheus {
		if err := t.metrics(res); err != nil {
			return nil, errors.Join(fmt.Errorf("set up metrics: %w", err), t.Shutdown(ctx))
		}
	}
	return t, nil
}

func newResource(ctx context.Context, cfg Config) (*resource.Resource, error) {
	var attrs []attribute.KeyValue
	for key, value := range map[string]string{"service.name": cfg.Service, "service.version": cfg.Version, "service.instance.id": cfg.Instance} {
		if value != "" {
			attrs = append(attrs, attribute.String(key, value))
		}
	}
	// The environment (OTEL_RESOURCE_ATTRIBUTES) goes first: what the process says of itself wins.
	return resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(attrs...))
}

func (t *Telemetry) traces(ctx context.Context, cfg Config, res *resource.Resource) error {
	endpoint := cfg.OTLPEndpoint
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return err
	}
	root := sdktrace.AlwaysSample()
	if cfg.SampleRatio > 0 && cfg.SampleRatio < 1 {
		root = sdktrace.TraceIDRatioBased(cfg.SampleRatio)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res), sdktrace.WithSampler(sdktrace.ParentBased(root)))
	t.TracerProvider = tp
	t.shutdown = append(t.shutdown, tp.Shutdown)
	return nil
}

func (t *Telemetry) metrics(res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return err
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(res))
	t.MeterProvider = mp
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	t.shutdown = append(t.shutdown, mp.Shutdown)
	return nil
}

// Shutdown sends what is still held and ends the providers. Call it last, when nothing measures any more.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, fn := range t.shutdown {
		errs = append(errs, fn(ctx))
	}
	t.shutdown = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("shut down telemetry: %w", err)
	}
	return nil
}

// Tracer returns a tracer of the package with this short name.
func (t *Telemetry) Tracer(pkg string) trace.Tracer { return t.TracerProvider.Tracer(Scope + pkg) }

// Meter returns a meter of the package with this short name.
func (t *Telemetry) Meter(pkg string) metric.Meter { return t.MeterProvider.Meter(Scope + pkg) }
