package bench

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
)

// Names of the yardsticks.
const (
	nameEmpty = "empty call"
	nameBare  = "bare call"
	nameDense = "dense AND"
	nameRaw   = "raw stream"
)

// Sizes of the yardsticks.
const (
	denseBits  = 10_000_000
	rawMessage = 256 << 10
)

// yardsticks are what the figures are compared with.
type yardsticks struct {
	server *grpc.Server
	served chan error
	conn   *grpc.ClientConn
	ops    []*op
	empty  *op
}

// rawServer sends what was made before, over the contract's own messages, through no interceptor.
type rawServer struct {
	campaignv1.UnimplementedAudienceServiceServer
	messages []*campaignv1.StreamMembersResponse
}

// StreamMembers implements campaignv1.AudienceServiceServer.
func (s *rawServer) StreamMembers(_ *campaignv1.StreamMembersRequest, to grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
	for _, m := range s.messages {
		if err := to.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// DeleteAudience implements campaignv1.AudienceServiceServer: it answers at once.
func (s *rawServer) DeleteAudience(context.Context, *campaignv1.DeleteAudienceRequest) (*campaignv1.DeleteAudienceResponse, error) {
	return &campaignv1.DeleteAudienceResponse{}, nil
}

// newYardsticks makes them; members is how many uids Q4 lists.
func (w *world) newYardsticks(ctx context.Context, members int64) (*yardsticks, error) {
	raw := &rawServer{}
	left := int(members) * 16
	for left > 0 {
		n := min(left, rawMessage)
		left -= n
		raw.messages = append(raw.messages, &campaignv1.StreamMembersResponse{Uids: make([]byte, n)})
	}
	raw.messages = append(raw.messages, &campaignv1.StreamMembersResponse{Complete: true})
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the yardsticks: %w", err)
	}
	y := &yardsticks{server: grpc.NewServer(), served: make(chan error, 1)}
	campaignv1.RegisterAudienceServiceServer(y.server, raw)
	go func() { y.served <- y.server.Serve(l) }()
	if y.conn, err = dial(l.Addr().String()); err != nil {
		return nil, errors.Join(err, y.close())
	}
	audiences := campaignv1.NewAudienceServiceClient(y.conn)
	health := healthpb.NewHealthClient(w.conn)
	y.empty = &op{name: nameEmpty, path: PathGRPC, about: "liveness of the same server, through the same interceptors", unchecked: true,
		do: func(ctx context.Context) (check, error) {
			_, err := health.Check(ctx, &healthpb.HealthCheckRequest{Service: rpc.Liveness})
			return nil, err
		}}
	y.ops = []*op{
		y.empty,
		{name: nameBare, path: PathLocal, about: "a unary call of a bare gRPC server without interceptors", unchecked: true,
			do: func(ctx context.Context) (check, error) {
				_, err := audiences.DeleteAudience(ctx, &campaignv1.DeleteAudienceRequest{Name: "audiences/none"})
				return nil, err
			}},
		{name: nameRaw, path: PathLocal, about: "as many bytes as Q4 from a bare gRPC server, 256 KiB a message", unit: "uids", least: warm,
			do: func(ctx context.Context) (check, error) {
				pages, err := receiveAll(ctx, audiences, &campaignv1.StreamMembersRequest{})
				return func(*truth) (int64, bool) {
					n := 0
					for _, p := range pages {
						n += len(p)
					}
					return int64(n) / 16, int64(n) == members*16
				}, err
			}},
		denseAnd(),
	}
	return y, nil
}

// denseAnd counts what two dense rows have in common, in one goroutine.
func denseAnd() *op {
	const words = (denseBits + 63) / 64
	a, b := make([]uint64, words), make([]uint64, words)
	want := 0
	for i := range words {
		a[i], b[i] = mix(uint64(i)), mix(uint64(i)+1<<32)
	}
	for i := range denseBits {
		if a[i/64]&b[i/64]>>(i%64)&1 == 1 {
			want++
		}
	}
	last := words - 1
	for i := denseBits; i < words*64; i++ { // what is beyond the rows is nobody
		a[last] &^= 1 << (i % 64)
	}
	return &op{name: nameDense, path: PathLocal, about: "two dense rows of ten million bits, one core", do: func(context.Context) (check, error) {
		n := 0
		for i, x := range a {
			n += bits.OnesCount64(x & b[i])
		}
		return func(*truth) (int64, bool) { return int64(n), n == want }, nil
	}}
}

func (y *yardsticks) close() error {
	var err error
	if y.conn != nil {
		err = y.conn.Close()
	}
	y.server.Stop()
	return errors.Join(err, <-y.served)
}
