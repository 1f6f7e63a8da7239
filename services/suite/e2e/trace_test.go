package e2e_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/narrowcast/narrowcast/pkg/telemetry/telemetrytest"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// traced is a suite whose spans are recorded, on a Redis that may be emptied, with a few people and a segment.
type traced struct {
	*stack
	t     *testing.T
	spans *telemetrytest.Recorder
	redis *redis.Client
}

// inRecordedShapes runs a test in the shapes that are in this process.
func inRecordedShapes(t *testing.T, test func(t *testing.T, s *traced)) {
	t.Parallel()
	for _, shape := range shapes[:2] {
		t.Run(shape.name, func(t *testing.T) {
			server := testkit.RedisPrivate(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr})
			t.Cleanup(func() { check(t, client.Close()) })
			spans := telemetrytest.New(t)
			s := &traced{t: t, spans: spans, redis: client}
			s.stack = shape.start(t, options{redis: "redis://" + server.Addr + "/0", telemetry: spans.Telemetry})
			s.people()
			test(t, s)
		})
	}
}

func (s *traced) people() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	upsert := &profilev1.BatchUpsertProfilesRequest{}
	for i, region := range []string{"FR-40", "FR-33", "DE-BE"} {
		upsert.Profiles = append(upsert.Profiles, &profilev1.Profile{
			Region: &region, JobLevel: typev1.JobLevel(i + 5), Gender: typev1.Gender(1 + i%2), Interests: &typev1.TextList{Values: []string{"cycling"}},
		})
	}
	if _, err := s.Profiles.BatchUpsertProfiles(ctx, upsert); err != nil {
		s.t.Fatal(err)
	}
	rule := &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `job_level >= "director"`}}
	if _, err := s.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: "leaders", Segment: rule}); err != nil {
		s.t.Fatal(err)
	}
	everybody(s.t, s.stack) // the index has all of it
}

// run runs a command line and returns the id of the trace that it began.
func (s *traced) run(args ...string) trace.TraceID {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	s.spans.Reset()
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Client: s.Client, Telemetry: s.spans.Telemetry}
	if code := cli.Main(ctx, env, args); code != cli.ExitOK {
		s.t.Fatalf("narrowcast %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	roots := s.spans.Named("narrowcast " + args[0])
	if len(roots) != 1 || roots[0].Parent.IsValid() {
		s.t.Fatalf("the command has %d root spans; want 1\n%s", len(roots), s.spans.Tree())
	}
	return roots[0].SpanContext.TraceID()
}

// has waits until a span of the trace has the kind and a name that contains the path's last element, below spans that contain the
// others, in order. A server's span may end a moment after its answer has arrived.
func (s *traced) has(id trace.TraceID, kind trace.SpanKind, path ...string) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !s.found(id, kind, path); <-tick.C {
		if time.Now().After(end) {
			s.t.Fatalf("the trace has no %s span %s\n%s", kind, strings.Join(path, " > "), s.spans.Tree())
		}
	}
}

func (s *traced) found(id trace.TraceID, kind trace.SpanKind, path []string) bool {
	return slices.ContainsFunc(s.spans.Trace(id), func(one tracetest.SpanStub) bool {
		if one.SpanKind != kind || !strings.Contains(one.Name, path[len(path)-1]) {
			return false
		}
		rest := path
		for name := range strings.SplitSeq(s.spans.Path(one), " > ") {
			if len(rest) > 0 && strings.Contains(name, rest[0]) {
				rest = rest[1:]
			}
		}
		return len(rest) == 0
	})
}

// clients are the names of the calls that the trace's processes made.
func clients(spans tracetest.SpanStubs) []string {
	var names []string
	for _, one := range spans {
		if one.SpanKind == trace.SpanKindClient {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestOneTraceFollowsAFullyConsistentCountOnAnEmptiedRedis(t *testing.T) {
	inRecordedShapes(t, func(t *testing.T, s *traced) {
		if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		const cmd = "narrowcast audience count"
		got := s.run("audience", "count", "--region=FR", "--min-job-level=director", "--consistency=full", "-o", "json")
		s.has(got, trace.SpanKindClient, cmd, "AudienceService/CountAudience")
		s.has(got, trace.SpanKindServer, cmd, "AudienceService/CountAudience")
		s.has(got, trace.SpanKindServer, cmd, "AudienceService/CountAudience", "ProfileService/GetHead")
		s.has(got, trace.SpanKindClient, cmd, "AudienceService/CountAudience", "ProfileService/GetHead", "sql")
		s.has(got, trace.SpanKindServer, cmd, "AudienceService/CountAudience", "MembershipService/RefillBlock")
		s.has(got, trace.SpanKindClient, cmd, "AudienceService/CountAudience", "hmget")
	})
}

func TestAWarmCountCallsNoOtherService(t *testing.T) {
	inRecordedShapes(t, func(t *testing.T, s *traced) {
		args := []string{"audience", "count", "--region=FR", "--segment=leaders", "-o", "json"}
		s.run(args...)
		id := s.run(args...)
		s.has(id, trace.SpanKindServer, "AudienceService/CountAudience") // all that it called has ended before
		got := clients(s.spans.Trace(id))
		if want := []string{campaignv1.AudienceService_CountAudience_FullMethodName[1:]}; !slices.Equal(got, want) {
			t.Errorf("a warm count makes the calls %q; want %q\n%s", got, want, s.spans.Tree())
		}
	})
}

func TestOneTraceFollowsTheMakingOfAPersona(t *testing.T) {
	inRecordedShapes(t, func(t *testing.T, s *traced) {
		const cmd = "narrowcast persona generate"
		made := personav1.PersonaService_GeneratePersona_FullMethodName[1:]
		got := s.run("persona", "generate", "camille", "--segment=leaders", "--no-wait", "-o", "json")
		s.has(got, trace.SpanKindClient, cmd, made)
		s.has(got, trace.SpanKindServer, cmd, made)
		s.has(got, trace.SpanKindClient, cmd, made, "InsightService/BreakdownSegment")
		s.has(got, trace.SpanKindServer, cmd, made, "InsightService/BreakdownSegment")
		s.has(got, trace.SpanKindServer, cmd, made, "SegmentService/CreateSegment")
		s.has(got, trace.SpanKindClient, cmd, made, "SegmentService/CreateSegment", "sql")
	})
}
