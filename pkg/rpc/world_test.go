package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/rpc"
)

type text = wrapperspb.StringValue

// service is what tests make of the three methods. A nil one answers what it was asked.
type service struct {
	do    func(ctx context.Context, in string) (string, error)
	check func(ctx context.Context, in *typev1.Consistency) error
	talk  func(s grpc.ServerStream) error
}

const (
	doMethod      = "/test.v1.Test/Do"
	checkMethod   = "/test.v1.Test/Check"
	talkMethod    = "/test.v1.Test/Talk"
	consultMethod = "/test.v1.Test/Consult"
)

func unary[Req any, PReq interface{ *Req }](method string, call func(*service, context.Context, PReq) (any, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: method, Handler: func(srv any, ctx context.Context, dec func(any) error, ic grpc.UnaryServerInterceptor) (any, error) {
		in := PReq(new(Req))
		if err := dec(in); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, req any) (any, error) { return call(srv.(*service), ctx, req.(PReq)) }
		if ic == nil {
			return handler(ctx, in)
		}
		return ic(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.v1.Test/" + method}, handler)
	}}
}

// desc is a service description as the generator would write it.
var desc = grpc.ServiceDesc{
	ServiceName: "test.v1.Test",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		unary("Do", func(s *service, ctx context.Context, in *text) (any, error) {
			if s.do == nil {
				return in, nil
			}
			out, err := s.do(ctx, in.GetValue())
			return wrapperspb.String(out), err
		}),
		unary("Check", func(s *service, ctx context.Context, in *typev1.Consistency) (any, error) {
			if s.check == nil {
				return wrapperspb.String("ok"), nil
			}
			return wrapperspb.String("ok"), s.check(ctx, in)
		}),
	},
	Streams: []grpc.StreamDesc{{
		StreamName: "Talk", ClientStreams: true, ServerStreams: true,
		Handler: func(srv any, s grpc.ServerStream) error {
			if talk := srv.(*service).talk; talk != nil {
				return talk(s)
			}
			for {
				var in text
				if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(&in); err != nil {
					return err
				}
			}
		},
	}, {
		StreamName: "Consult", ClientStreams: true, ServerStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				if err := s.RecvMsg(new(typev1.Consistency)); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(wrapperspb.String("ok")); err != nil {
					return err
				}
			}
		},
	}},
}

// logs is a log that can be read while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// world is a server with its two doors.
type world struct {
	server *rpc.Server
	dial   func(context.Context, string) (net.Conn, error)
	served chan error
	doors  map[string]grpc.ClientConnInterface
}

func newWorld(t testing.TB, s *service, opts rpc.Options) *world {
	t.Helper()
	server, err := rpc.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	server.RegisterService(&desc, s)
	l := bufconn.Listen(1 << 20)
	w := &world{server: server, served: make(chan error, 1)}
	w.dial = func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	go func() { w.served <- server.Serve(l) }()
	conn := w.conn(t, rpc.DialOptions{Telemetry: opts.Telemetry})
	w.doors = map[string]grpc.ClientConnInterface{"network": conn, "local": server.Local()}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) conn(t testing.TB, opts rpc.DialOptions) *grpc.ClientConn {
	t.Helper()
	opts.Dialer = w.dial
	conn, err := rpc.Dial("passthrough:///test", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// each runs a test through both doors, which must not be told apart.
func (w *world) each(t *testing.T, test func(t *testing.T, door grpc.ClientConnInterface)) {
	for name, door := range w.doors {
		t.Run(name, func(t *testing.T) { test(t, door) })
	}
}

func do(ctx context.Context, door grpc.ClientConnInterface, in string) (string, error) {
	var out text
	err := door.Invoke(ctx, doMethod, wrapperspb.String(in), &out)
	return out.GetValue(), err
}

func stream(t *testing.T, ctx context.Context, door grpc.ClientConnInterface, method string) grpc.ClientStream {
	t.Helper()
	s, err := door.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pipe is a listener without a port.
type pipe struct{ *bufconn.Listener }

func listen(testing.TB) pipe { return pipe{bufconn.Listen(1 << 20)} }

func (p pipe) dial(ctx context.Context, _ string) (net.Conn, error) { return p.DialContext(ctx) }
