package telemetrytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// Recorder keeps spans and metrics in memory. Its Telemetry is what the code under test is given.
type Recorder struct {
	*telemetry.Telemetry

	t      testing.TB
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
}

// New returns an empty recorder that samples everything.
func New(t testing.TB) *Recorder {
	t.Helper()
	r := &Recorder{Telemetry: telemetry.Noop(), t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	r.TracerProvider, r.MeterProvider = tp, mp
	return r
}

// Spans returns the ended spans so far.
func (r *Recorder) Spans() tracetest.SpanStubs { return r.spans.GetSpans() }

// Reset forgets the spans so far.
func (r *Recorder) Reset() { r.spans.Reset() }

// Named returns the ended spans whose name contains part.
func (r *Recorder) Named(part string) tracetest.SpanStubs {
	return slices.DeleteFunc(r.Spans(), func(s tracetest.SpanStub) bool { return !strings.Contains(s.Name, part) })
}

// Trace returns the ended spans of one trace.
func (r *Recorder) Trace(id trace.TraceID) tracetest.SpanStubs {
	return slices.DeleteFunc(r.Spans(), func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != id })
}

// Path returns the names from the root of its trace down to the span, "a > b > c". A missing link reads "?".
func (r *Recorder) Path(s tracetest.SpanStub) string {
	byID := make(map[trace.SpanID]tracetest.SpanStub)
	for _, one := range r.Trace(s.SpanContext.TraceID()) {
		byID[one.SpanContext.SpanID()] = one
	}
	names := []string{s.Name}
	for at := s; at.Parent.HasSpanID(); {
		up, ok := byID[at.Parent.SpanID()]
		if !ok {
			names = append(names, "?")
			break
		}
		names, at = append(names, up.Name), up
	}
	slices.Reverse(names)
	return strings.Join(names, " > ")
}

// Tree draws all traces as indented lines, for a failing test's message.
func (r *Recorder) Tree() string {
	children := make(map[trace.SpanID]tracetest.SpanStubs)
	known := make(map[trace.SpanID]bool)
	all := r.Spans()
	for _, s := range all {
		known[s.SpanContext.SpanID()] = true
	}
	for _, s := range all {
		up := s.Parent.SpanID()
		if !known[up] {
			up = trace.SpanID{}
		}
		children[up] = append(children[up], s)
	}
	var b strings.Builder
	var draw func(trace.SpanID, int)
	draw = func(id trace.SpanID, depth int) {
		for _, s := range children[id] {
			fmt.Fprintf(&b, "%s%s (%s, trace %s)\n", strings.Repeat("  ", depth), s.Name, s.SpanKind, s.SpanContext.TraceID().String()[:6])
			draw(s.SpanContext.SpanID(), depth+1)
		}
	}
	draw(trace.SpanID{}, 0)
	return b.String()
}

// Sum returns the total of a counter, a gauge or an up-down counter over all its attributes; of a histogram, how many values it
// took. A metric that was never recorded is 0.
func (r *Recorder) Sum(name string) float64 {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &all); err != nil {
		r.t.Fatalf("collect metrics: %v", err)
	}
	var sum float64
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				sum += total(m.Data)
			}
		}
	}
	return sum
}

func total(data metricdata.Aggregation) (sum float64) {
	switch d := data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			sum += float64(p.Value)
		}
	case metricdata.Sum[float64]:
		for _, p := range d.DataPoints {
			sum += p.Value
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			sum += float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			sum += p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			sum += float64(p.Count)
		}
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			sum += float64(p.Count)
		}
	}
	return sum
}
