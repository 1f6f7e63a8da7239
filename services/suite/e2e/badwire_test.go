package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// inShapes runs a test in one process on files and in four on PostgreSQL, on the network in both. What is between is the business of the
// scenarios.
func inShapes(t *testing.T, test func(t *testing.T, st *stack)) {
	t.Parallel()
	for _, shape := range []shape{shapes[0], shapes[len(shapes)-1]} {
		t.Run(shape.name, func(t *testing.T) { test(t, shape.run(t, options{})) })
	}
}

// stillServes writes a profile and counts everybody: the suite serves, and holds what is expected and no more.
func stillServes(t *testing.T, st *stack, before int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{}}); err != nil {
		t.Fatalf("create a profile: %v", err)
	}
	if n := everybody(t, st); n != before+1 {
		t.Fatalf("%d people are there; want %d: something was half written", n, before+1)
	}
	return before + 1
}

// everybody counts all, with every write of the stack's client.
func everybody(t testing.TB, st *stack) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := st.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: specRef(&campaignv1.AudienceSpec{})})
	if err != nil {
		t.Fatalf("count everybody: %v", err)
	}
	return res.GetCount()
}

func specRef(spec *campaignv1.AudienceSpec) *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}}
}

const tooLarge = 20 << 20

func TestAMessageOf20MiBIsRefusedAndWritesNothing(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		n := stillServes(t, st, 0)
		large := strings.Repeat("x", tooLarge)
		calls := map[string]func(context.Context) error{
			"profile": func(ctx context.Context) error {
				_, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{GivenName: &large}})
				return err
			},
			"import": func(ctx context.Context) error { return importInOneMessage(ctx, st, large) },
			"segment": func(ctx context.Context) error {
				_, err := st.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: "large", Segment: &segmentv1.Segment{Description: large}})
				return err
			},
			"campaign": func(ctx context.Context) error {
				_, err := st.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: specRef(&campaignv1.AudienceSpec{Filter: large})})
				return err
			},
		}
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err := call(ctx)
			cancel()
			if fault.KindOf(err) != fault.Exhausted || fault.ReasonOf(err) != rpc.ReasonMessageTooLarge {
				t.Errorf("%s: 20 MiB end with %v; want RESOURCE_EXHAUSTED and %s", name, err, rpc.ReasonMessageTooLarge)
			}
			n = stillServes(t, st, n)
		}
		if _, err := st.Segments.GetSegment(t.Context(), &segmentv1.GetSegmentRequest{Name: "segments/large"}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the refused segment: %v; want not found", err)
		}
	})
}

// importInOneMessage begins an import whose second message is too large.
func importInOneMessage(ctx context.Context, st *stack, large string) error {
	s, err := st.Profiles.ImportProfiles(ctx)
	if err != nil {
		return err
	}
	start := &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: "large"}}
	if err := s.Send(&profilev1.ImportProfilesRequest{Message: start}); err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil {
		return err
	}
	// A good row before it, in the same message: no part of a refused message may be written.
	chunk := &profilev1.ImportProfilesRequest_Chunk{Profiles: []*profilev1.Profile{{}, {GivenName: &large}}}
	err = s.Send(&profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Chunk_{Chunk: chunk}})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = s.Recv()
	return err
}

// raw sends bytes as they are, whatever a method's message is.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) {
	if b, ok := v.(*[]byte); ok {
		return *b, nil
	}
	return nil, fmt.Errorf("%T is no bytes", v)
}

func (raw) Unmarshal(data []byte, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = data
		return nil
	}
	return fmt.Errorf("%T is no bytes", v)
}

func (raw) Name() string { return "proto" }

func TestRandomBytesInsteadOfMessagesAreRefused(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		n := stillServes(t, st, 0)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		methods := map[string]string{
			profilev1.ProfileService_CreateProfile_FullMethodName:       profileTarget,
			profilev1.ProfileService_BatchUpsertProfiles_FullMethodName: profileTarget,
			profilev1.AttributeService_CreateAttribute_FullMethodName:   profileTarget,
			segmentv1.SegmentService_CreateSegment_FullMethodName:       segmentTarget,
			segmentv1.MembershipService_RefillBlock_FullMethodName:      segmentTarget,
			campaignv1.AudienceService_CountAudience_FullMethodName:     campaignTarget,
		}
		for method, target := range methods {
			conn := rawConn(t, st.addr[target])
			for i := range 40 {
				in, out := garbage(random, i), []byte(nil)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := conn.Invoke(ctx, method, &in, &out, grpc.ForceCodec(raw{}))
				cancel()
				switch status.Code(err) {
				case codes.Internal, codes.InvalidArgument, codes.NotFound, codes.Unimplemented:
					// gRPC says INTERNAL of what does not decode, before our code sees it.
				default:
					t.Fatalf("%s with %x: %v; want it refused", method, in, err)
				}
			}
		}
		stillServes(t, st, n)
	})
}

// garbage is bytes that are no valid request: random ones behind a field that is cut off, or that is no UTF-8 text.
func garbage(random *rand.Rand, i int) []byte {
	b := make([]byte, 1+random.IntN(200))
	for j := range b {
		b[j] = byte(random.Uint32())
	}
	if i%2 == 0 {
		return append(b, 0x0a, 0xff, 0x7f) // a field of 16,383 bytes of which none follows
	}
	return append([]byte{0x0f}, b...) // a wire type that does not exist
}

func rawConn(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, conn.Close()) })
	return conn
}

func TestBytesThatAreNoGRPCDoNotDisturbTheServer(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		n := stillServes(t, st, 0)
		random := rand.New(rand.NewPCG(7, 7))
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		for _, target := range targets {
			for _, opening := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", preface, "\x16\x03\x01"} {
				conn, err := net.DialTimeout("tcp", st.addr[target], patience)
				if err != nil {
					t.Fatal(err)
				}
				noise := make([]byte, 64<<10)
				for i := range noise {
					noise[i] = byte(random.Uint32())
				}
				// The server may hang up before all is written; that it does is what counts.
				_, _ = conn.Write(append([]byte(opening), noise...))
				check(t, conn.SetReadDeadline(time.Now().Add(patience)))
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
					t.Errorf("%s keeps a connection that speaks no gRPC (%q)", target, opening)
				}
				check(t, conn.Close())
			}
		}
		stillServes(t, st, n)
	})
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
