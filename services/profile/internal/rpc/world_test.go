package rpc_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	kit "github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// world is a profile service behind the server's interceptors, with clients.
type world struct {
	profilev1.ProfileServiceClient
	profilev1.AttributeServiceClient
	profilev1.IdentityServiceClient
	store   profile.Store
	service *rpc.Service
}

// inProcess makes a world whose calls do not leave the process.
func inProcess(t testing.TB, opts rpc.Options) *world {
	t.Helper()
	local, err := kit.NewLocal(kit.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, opts, local, local)
}

// networked makes a world behind a real gRPC server, whose flow control is at work.
func networked(t *testing.T, opts rpc.Options) *world {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server, err := kit.NewServer(kit.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := kit.Dial("passthrough:///bufconn", kit.DialOptions{
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, opts, server, conn)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

func newWorld(t testing.TB, opts rpc.Options, r grpc.ServiceRegistrar, conn grpc.ClientConnInterface) *world {
	t.Helper()
	if opts.Store == nil {
		store, err := sqlstore.Open(t.Context(), sqlstore.Config{SQL: sqldb.Config{Path: filepath.Join(t.TempDir(), "profile.db")}, Keys: newKeys(t), Logger: testkit.Logger(t), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		opts.Store = store
		t.Cleanup(func() { store.Close() })
	}
	opts.Logger, opts.Currency, opts.TimeZone = testkit.Logger(t), "EUR", "Europe/Paris"
	service, err := rpc.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Stop)
	profilev1.RegisterProfileServiceServer(r, service)
	profilev1.RegisterAttributeServiceServer(r, service)
	profilev1.RegisterIdentityServiceServer(r, service)
	profilev1.RegisterEventServiceServer(r, service)
	return &world{profilev1.NewProfileServiceClient(conn), profilev1.NewAttributeServiceClient(conn), profilev1.NewIdentityServiceClient(conn), opts.Store, service}
}

// newKeys makes fresh keys that stay as they are.
func newKeys(t testing.TB) *keyring.Source {
	t.Helper()
	keys, err := keyring.New()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Ring()
	if err != nil {
		t.Fatal(err)
	}
	return keyring.Fixed(ring)
}

func (w *world) declare(t *testing.T, id string, typ profilev1.Attribute_Type, change ...func(*profilev1.Attribute)) *profilev1.Attribute {
	t.Helper()
	a := &profilev1.Attribute{Type: typ}
	for _, c := range change {
		c(a)
	}
	made, err := w.CreateAttribute(t.Context(), &profilev1.CreateAttributeRequest{AttributeId: id, Attribute: a})
	must(t, err)
	return made
}

func (w *world) create(t *testing.T, p *profilev1.Profile) *profilev1.Profile {
	t.Helper()
	made, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: p})
	must(t, err)
	return made
}

func (w *world) revision(t *testing.T) int64 {
	t.Helper()
	head, err := w.GetHead(t.Context(), &profilev1.GetHeadRequest{})
	must(t, err)
	return head.GetPosition().GetRevision()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault checks kind, reason and, if given, that a violation is at field.
func wantFault(t testing.TB, err error, kind fault.Kind, reason, field string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind || f.Reason != reason {
		t.Fatalf("error %v, want %s %s", err, kind, reason)
	}
	if field != "" && !slices.ContainsFunc(f.Violations, func(v fault.Violation) bool { return v.Field == field }) {
		t.Fatalf("the violations are %v, want one at %s", f.Violations, field)
	}
}

// stated removes what the service adds, so that what was stated remains.
func stated(p *profilev1.Profile) *profilev1.Profile {
	p = proto.CloneOf(p)
	p.Name, p.Uid, p.Etag, p.CreateTime, p.UpdateTime, p.ConsistencyToken, p.Warnings = "", "", "", nil, nil, "", nil
	return p
}

func external(value string) []*profilev1.Identifier {
	return []*profilev1.Identifier{{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crm", Value: value}}
}
