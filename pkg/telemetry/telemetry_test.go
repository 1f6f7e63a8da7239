package telemetry_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/pkg/telemetry/telemetrytest"
)

// sink is a collector that keeps what it is sent.
type sink struct {
	collector.UnimplementedTraceServiceServer
	mu   sync.Mutex
	text []string
}

func (s *sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, r.String())
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestTracesReachTheCollectorAtShutdown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var got sink
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, &got)
	go server.Serve(l) //nolint:errcheck // ends with Stop
	defer server.Stop()

	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "narrowcast-test", Version: "v9", Instance: "i1", OTLPEndpoint: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer("pkg").Start(t.Context(), "the span")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	all := strings.Join(got.text, "\n")
	for _, want := range []string{"the span", "narrowcast-test", "v9", "i1", telemetry.Scope + "pkg"} {
		if !strings.Contains(all, want) {
			t.Errorf("the collector got no %q in %s", want, all)
		}
	}
}

func TestMetricsAreServedToPrometheus(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "narrowcast-test", Prometheus: true})
	if err != nil {
		t.Fatal(err)
	}
	calls, err := tel.Meter("rpc").Int64Counter(telemetry.MetricCalls)
	if err != nil {
		t.Fatal(err)
	}
	calls.Add(t.Context(), 3, metric.WithAttributes(telemetry.AttrCode.String("OK")))
	rec := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	line := regexp.MustCompile(`(?m)^narrowcast_rpc_calls_total\{.*narrowcast_rpc_code="OK".*\} 3$`)
	if !line.MatchString(rec.Body.String()) || !strings.Contains(rec.Body.String(), "go_goroutines") {
		t.Errorf("served:\n%s", rec.Body)
	}
	// A second process in the same test binary: nothing is registered globally.
	if _, err := telemetry.New(t.Context(), telemetry.Config{Prometheus: true}); err != nil {
		t.Error(err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoopServesNothingAndLetsTracesPass(t *testing.T) {
	tel := telemetry.Noop()
	rec := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != 404 {
		t.Errorf("metrics answered %d", rec.Code)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" // the example of the W3C recommendation
	ctx := tel.Propagator.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	ctx, span := tel.Tracer("x").Start(ctx, "nothing")
	span.End()
	out := propagation.MapCarrier{}
	tel.Propagator.Inject(ctx, out)
	if out["traceparent"] != parent {
		t.Errorf("passed on %q", out["traceparent"])
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for _, cfg := range []telemetry.Config{{SampleRatio: -0.1}, {SampleRatio: 1.1}, {SampleRatio: math.NaN()}, {OTLPEndpoint: "ftp://x:1"}} {
		if _, err := telemetry.New(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestTheRecorderSeesSpansAndMetrics(t *testing.T) {
	r := telemetrytest.New(t)
	ctx, a := r.Tracer("x").Start(t.Context(), "a")
	_, b := r.Tracer("x").Start(ctx, "b")
	b.End()
	if got := r.Path(r.Named("b")[0]); got != "? > b" {
		t.Errorf("with an open parent the path is %q", got)
	}
	a.End()
	if got := r.Path(r.Named("b")[0]); got != "a > b" {
		t.Errorf("path %q", got)
	}
	if tree := r.Tree(); !strings.HasPrefix(tree, "a (") || !strings.Contains(tree, "\n  b (") {
		t.Errorf("tree:\n%s", tree)
	}
	if n := len(r.Trace(a.SpanContext().TraceID())); n != 2 {
		t.Errorf("%d spans in the trace", n)
	}
	c, _ := r.Meter("x").Int64Counter("n")
	h, _ := r.Meter("x").Float64Histogram("h")
	c.Add(t.Context(), 2, metric.WithAttributes(telemetry.AttrCode.String("A")))
	c.Add(t.Context(), 3)
	h.Record(t.Context(), 7)
	if r.Sum("n") != 5 || r.Sum("h") != 1 || r.Sum("none") != 0 {
		t.Errorf("sums %v %v %v", r.Sum("n"), r.Sum("h"), r.Sum("none"))
	}
}

// Every name is documented, unique and of the form narrowcast.<noun>...
func TestNamesAreUniqueAndWellFormed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^narrowcast(\.[a-z][a-z_]*)+$`)
	kind := map[string]bool{}
	count := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name == "Scope" {
			return true
		}
		ast.Inspect(spec, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				count++
				value := strings.Trim(lit.Value, `"`)
				key := spec.Names[0].Name[:4] + value // an attribute and a metric may share a name
				if !form.MatchString(value) || kind[key] {
					t.Errorf("%s = %s is malformed or taken", spec.Names[0].Name, value)
				}
				kind[key] = true
			}
			return true
		})
		return true
	})
	if count < 10 {
		t.Errorf("found %d names", count)
	}
}
