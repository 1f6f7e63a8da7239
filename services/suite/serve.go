package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/narrowcast/narrowcast/pkg/run"
	"github.com/narrowcast/narrowcast/services/internal/gating"
)

// addListener adds the gRPC listener: the last to start, the first to stop.
func (s *Suite) addListener() {
	var l net.Listener
	s.group.Add(run.Part{
		Name: "grpc",
		Start: func(ctx context.Context) (err error) {
			// A method that does not say what its answer reveals must not be served.
			if err := gating.Check(s.server.GetServiceInfo()); err != nil {
				return err
			}
			if l, err = listen(ctx, s.cfg.Listen, "listen"); err != nil {
				return err
			}
			s.mu.Lock()
			s.grpcAt = l.Addr()
			s.mu.Unlock()
			s.log.Info("serving", "protocol", "grpc", "address", l.Addr().String(), "targets", s.cfg.Target)
			return nil
		},
		Run: func(context.Context) error { return s.server.Serve(l) },
		Stop: func(ctx context.Context) error {
			for _, d := range s.doors {
				d.StopStreams()
			}
			return s.server.Stop(ctx)
		},
	})
	s.followLife()
}

// followLife makes readiness follow the life of the process, beside what each service says.
func (s *Suite) followLife() {
	s.group.Add(run.Part{Name: "health", Start: func(context.Context) error {
		s.server.Health().Add("process", func(context.Context) error {
			if !s.group.Ready() {
				return errors.New("the process is starting or stopping")
			}
			return nil
		})
		return nil
	}})
}

func listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s=%s: %w; choose another address, port 0 takes any free one", flag, addr, err)
	}
	return l, nil
}

// addHTTP adds metrics and health over HTTP, for those who cannot ask over gRPC.
func (s *Suite) addHTTP() {
	if s.cfg.HTTP == "" || s.cfg.HTTP == "none" {
		return
	}
	var l net.Listener
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: s.handler()}
	s.group.Add(run.Part{
		Name: "http",
		Start: func(ctx context.Context) (err error) {
			if l, err = listen(ctx, s.cfg.HTTP, "ops-listen"); err != nil {
				return err
			}
			s.mu.Lock()
			s.httpAt = l.Addr()
			s.mu.Unlock()
			return nil
		},
		Run: func(context.Context) error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve http: %w", err)
			}
			return nil
		},
		Stop: server.Shutdown,
	})
}

// handler serves /metrics, /livez (the process lives; /healthz is the same) and /readyz (its services can answer now, each asked anew).
func (s *Suite) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) { s.tel.Metrics.ServeHTTP(w, r) })
	alive := func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok", "") }
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		if err := s.check(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, "not ready", err.Error())
			return
		}
		answer(w, http.StatusOK, "ready", "")
	})
	return mux
}

func answer(w http.ResponseWriter, code int, status, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	body := map[string]string{"status": status}
	if why != "" {
		body["why"] = why
	}
	// The prober may be gone; nobody else is to be told.
	_ = json.NewEncoder(w).Encode(body)
}
