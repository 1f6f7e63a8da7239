package rpc_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

// frames is a codec of a client that only receives: messages stay bytes, of which the changes are counted.
type frames struct{}

func (frames) Name() string { return "proto" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(*received)
	if !ok {
		return errors.New("only received messages")
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return into.count(buf.ReadOnlyData())
}

var _ encoding.CodecV2 = frames{}

// received is what a client that only receives knows of a message.
type received struct {
	changes   int
	bytes     int
	replaying bool
}

func (r *received) count(b []byte) error {
	r.replaying = false
	r.bytes += len(b)
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		switch number {
		case 1:
			r.changes++
		case 4:
			r.replaying = true
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}

// BenchmarkWatchFromZero replays a store of 100,000 people over a real connection to a client that only receives.
func BenchmarkWatchFromZero(b *testing.B) {
	const people = 100_000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	server, err := kit.NewServer(kit.Options{Logger: testkit.Logger(b)})
	must(b, err)
	w := newWorld(b, rpc.Options{}, server, nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	b.Cleanup(func() {
		must(b, server.Stop(b.Context()))
		must(b, <-served)
	})
	for from := 0; from < people; from += 5000 {
		rows := make([]profile.Row, 5000)
		for i := range rows {
			rows[i].Profile = watched(from + i)
		}
		_, _, _, err := w.store.Import(b.Context(), "bench", int64(from), rows)
		must(b, err)
	}
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frames{}), grpc.MaxCallRecvMsgSize(16<<20)))
	must(b, err)
	b.Cleanup(func() { conn.Close() })
	for _, without := range []bool{true, false} {
		b.Run(fmt.Sprintf("contact=%v", !without), func(b *testing.B) {
			var got received
			began := time.Now()
			runs := 0
			for b.Loop() {
				runs++
				replay(b, conn, without, people, &got)
			}
			took := time.Since(began).Seconds()
			b.ReportMetric(float64(got.changes)/took, "profiles/s")
			b.ReportMetric(float64(got.bytes)/float64(got.changes), "bytes/profile")
		})
	}
}

// replay receives one replay up to its end.
func replay(b *testing.B, conn *grpc.ClientConn, without bool, people int, got *received) {
	stream, err := conn.NewStream(b.Context(), &grpc.StreamDesc{ServerStreams: true}, profilev1.ProfileService_WatchProfiles_FullMethodName)
	must(b, err)
	must(b, stream.SendMsg(&profilev1.WatchProfilesRequest{WithoutContact: without}))
	must(b, stream.CloseSend())
	for before := got.changes; got.changes-before < people; {
		must(b, stream.RecvMsg(got))
	}
}

// watched is a person with what the index reads.
func watched(n int) *profile.Profile {
	first, last := "Ada", "Lovelace"
	day := int64(5000 + n%15000)
	return &profile.Profile{
		GivenName: &first, FamilyName: &last, BirthDate: &profile.Interval{First: day, Last: day}, Gender: "female", Region: "FR-40",
		PostalCode: fmt.Sprintf("40%03d", n%1000), JobLevel: "director", Income: &profile.Money{Currency: "EUR", Amount: int64(3_000_000 + n)},
		Education: "master", Occupation: "engineer", Employer: profile.Employer{Name: "Works", Industry: "industry", Size: "11-50"},
		Interests: []string{"cycling", "music", "travel"}, Lifecycle: "customer", Roles: []string{"buyer"},
		Consents: []profile.Consent{{Purpose: "marketing", Channel: "email", Status: "granted"}},
		Identifiers: []profile.Identifier{
			{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprintf("C%08d", n)}, {Kind: "email", Value: fmt.Sprintf("p%d@example.com", n)},
		},
	}
}
