package server_test

import (
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/persona/server"
)

func conn(t *testing.T, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	register(local)
	return local
}

func TestTheDoorOpensServesAndCloses(t *testing.T) {
	cfg := server.Default()
	if err := cfg.Validate(); err != nil {
		t.Fatalf("the default configuration: %v", err)
	}
	if err := (server.Config{}).Validate(); err == nil {
		t.Error("a configuration without a file passed")
	}
	cfg.Path = filepath.Join(t.TempDir(), "persona.db")
	// A neighbour that answers nothing: opening the door needs none.
	segments := conn(t, func(r grpc.ServiceRegistrar) {
		segmentv1.RegisterSegmentServiceServer(r, segmentv1.UnimplementedSegmentServiceServer{})
	})
	if _, err := server.New(t.Context(), cfg, server.Deps{}); err == nil {
		t.Error("a door without its neighbour opened")
	}
	s, err := server.New(t.Context(), cfg, server.Deps{Segments: segments})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	personas := personav1.NewPersonaServiceClient(conn(t, s.Register))
	if res, err := personas.ListPersonas(t.Context(), &personav1.ListPersonasRequest{}); err != nil || len(res.GetPersonas()) != 0 {
		t.Errorf("list: %v, %v", res, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ready after close: %v", err)
	}
}
