package e2e_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// stranger calls a server of which it knows nothing but the address, as grpcurl does.
type stranger struct {
	t     *testing.T
	conn  *grpc.ClientConn
	files *protoregistry.Files
}

// newStranger learns the contract of the service that symbol is in from the server itself.
func newStranger(t *testing.T, addr, symbol string) *stranger {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, conn.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatalf("ask for reflection: %v", err)
	}
	known := map[string]*descriptorpb.FileDescriptorProto{}
	ask := func(req *reflectionpb.ServerReflectionRequest) {
		if err := stream.Send(req); err != nil {
			t.Fatalf("ask for reflection: %v", err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatalf("ask for reflection: %v", err)
		}
		if e := res.GetErrorResponse(); e != nil {
			t.Fatalf("reflection of %v: %s", req, e.GetErrorMessage())
		}
		for _, text := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
			f := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(text, f); err != nil {
				t.Fatalf("read a descriptor: %v", err)
			}
			known[f.GetName()] = f
		}
	}
	ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}})
	set := &descriptorpb.FileDescriptorSet{}
	for missing := true; missing; {
		missing = false
		for _, f := range known {
			for _, need := range f.GetDependency() {
				if known[need] == nil {
					missing = true
					ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: need}})
				}
			}
		}
	}
	check(t, stream.CloseSend())
	for _, f := range known {
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatalf("put the descriptors together: %v", err)
	}
	return &stranger{t: t, conn: conn, files: files}
}

func (s *stranger) message(name protoreflect.FullName) *dynamicpb.Message {
	s.t.Helper()
	d, err := s.files.FindDescriptorByName(name)
	if err != nil {
		s.t.Fatalf("find %s: %v", name, err)
	}
	m, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		s.t.Fatalf("%s is no message", name)
	}
	return dynamicpb.NewMessage(m)
}

// request is a message read from JSON.
func (s *stranger) request(name protoreflect.FullName, text string) *dynamicpb.Message {
	s.t.Helper()
	m := s.message(name)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		s.t.Fatalf("read %s: %v", name, err)
	}
	return m
}

func TestAStrangerResolvesAnAudienceThroughReflection(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, region := range []string{"FR-40", "FR-33", "DE-BE"} {
			if _, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Region: &region}}); err != nil {
				t.Fatal(err)
			}
		}
		everybody(t, st) // the index has them

		const pkg = "narrowcast.campaign.v1."
		s := newStranger(t, st.addr[campaignTarget], pkg+"AudienceService")
		spec := `{"audience": {"spec": {"regions": ["FR"]}}}`
		answer := s.message(pkg + "CountAudienceResponse")
		if err := s.conn.Invoke(ctx, "/"+pkg+"AudienceService/CountAudience", s.request(pkg+"CountAudienceRequest", spec), answer); err != nil {
			t.Fatalf("count: %v", err)
		}
		if n := answer.Get(answer.Descriptor().Fields().ByName("count")).Int(); n != 2 {
			t.Errorf("a stranger counts %d; want 2", n)
		}
		desc := &grpc.StreamDesc{ServerStreams: true}
		stream, err := s.conn.NewStream(ctx, desc, "/"+pkg+"AudienceService/StreamMembers")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stream.SendMsg(s.request(pkg+"StreamMembersRequest", spec)), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		uids, complete := 0, false
		for {
			m := s.message(pkg + "StreamMembersResponse")
			err := stream.RecvMsg(m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("stream members: %v", err)
			}
			uids += len(m.Get(m.Descriptor().Fields().ByName("uids")).Bytes())
			complete = m.Get(m.Descriptor().Fields().ByName("complete")).Bool()
		}
		if uids != 2*16 || !complete {
			t.Errorf("a stranger receives %d bytes of uids, complete=%v; want 32 and true", uids, complete)
		}
	})
}

func TestEveryProcessSaysThatItServes(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		for _, target := range targets {
			health := healthpb.NewHealthClient(rawConn(t, st.addr[target]))
			for _, service := range []string{"liveness", ""} {
				eventually(t, "health of "+target+" is SERVING", func(ctx context.Context) error {
					res, err := health.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
					if err == nil && res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
						err = errors.New(res.GetStatus().String())
					}
					return err
				})
			}
		}
	})
}

// eventually asks until there is no error, within the bound of all waits.
func eventually(t testing.TB, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: still %v after %v", what, err, patience)
		}
	}
}

// A stop must not wait for streams that never end.
func TestATerminatedProcessEndsInTimeWithOpenStreams(t *testing.T) {
	t.Parallel()
	const bound = 15 * time.Second // more than --stop-timeout, less than what an orchestrator waits before it kills
	for name, args := range map[string][]string{
		"all in one": {"narrowcast", "up"},
		"segment":    {"segment"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{}.filled(t)
			program := args[0]
			flags := append(append([]string{}, args[1:]...), serveFlags(o.dataDir)...)
			if name == "segment" {
				profile := startProcess(t, o.logs, profileTarget, append(serveFlags(t.TempDir()), "--allow-sqlite")...)
				flags = append(flags, "--allow-sqlite", "--profile-addr="+profile.addr, "--redis=redis://"+testkit.Redis(t)+"/0")
			}
			p := startProcess(t, o.logs, program, flags...)
			conn := rawConn(t, p.addr)
			ended := make(chan error, 3)
			hold(t, ended, func() (interface{ RecvMsg(any) error }, any, error) {
				s, err := segmentv1.NewMembershipServiceClient(conn).WatchBlocks(t.Context())
				if err == nil {
					err = s.Send(&segmentv1.WatchBlocksRequest{Number: 1})
				}
				return s, &segmentv1.WatchBlocksResponse{}, err
			})
			hold(t, ended, func() (interface{ RecvMsg(any) error }, any, error) {
				s, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
				return s, &healthpb.HealthCheckResponse{}, err
			})
			streams := 2
			if name == "all in one" {
				streams++
				hold(t, ended, func() (interface{ RecvMsg(any) error }, any, error) {
					s, err := profilev1.NewProfileServiceClient(conn).WatchProfiles(t.Context(), &profilev1.WatchProfilesRequest{})
					return s, &profilev1.WatchProfilesResponse{}, err
				})
			}
			begun := time.Now()
			p.terminate() // fails the test unless the exit code is 0
			if took := time.Since(begun); took > bound {
				t.Errorf("the stop took %v; want at most %v", took, bound)
			}
			for range streams {
				if err := <-ended; err == nil || !strings.Contains(err.Error(), "Unavailable") {
					t.Errorf("an open stream ends with %v; want UNAVAILABLE", err)
				}
			}
		})
	}
}

// hold opens a stream, takes its first message and then reads until it ends. A service may still be on its way up.
func hold(t *testing.T, ended chan<- error, open func() (interface{ RecvMsg(any) error }, any, error)) {
	t.Helper()
	var s interface{ RecvMsg(any) error }
	var m any
	eventually(t, "open a stream", func(context.Context) (err error) {
		if s, m, err = open(); err == nil {
			err = s.RecvMsg(m)
		}
		return err
	})
	go func() {
		for {
			if err := s.RecvMsg(m); err != nil {
				ended <- err
				return
			}
		}
	}()
}
