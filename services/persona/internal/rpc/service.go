package rpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	"github.com/narrowcast/narrowcast/services/persona"
	"github.com/narrowcast/narrowcast/services/persona/internal/generate"
)

// Segments is what the service asks of the segment service; package segments has it over the wire.
type Segments interface {
	Statistics(ctx context.Context, segment, token string) (*generate.Statistics, string, error)
	Preview(ctx context.Context, rule, token string) (int64, error)
	Check(ctx context.Context, p persona.Persona) error
	Create(ctx context.Context, p persona.Persona) (token string, err error)
	Update(ctx context.Context, p persona.Persona) (token string, err error)
	Delete(ctx context.Context, p persona.Persona) (token string, err error)
}

// Service implements narrowcast.persona.v1.PersonaService.
type Service struct {
	personav1.UnsafePersonaServiceServer

	store    persona.Store
	segments Segments
	now      func() time.Time
	locks    locks
}

var _ personav1.PersonaServiceServer = (*Service)(nil)

// New returns the service.
func New(store persona.Store, segments Segments, now func() time.Time) *Service {
	return &Service{store: store, segments: segments, now: now}
}

// Register adds the service.
func (s *Service) Register(r grpc.ServiceRegistrar) { personav1.RegisterPersonaServiceServer(r, s) }

// locks makes the changes of one persona follow one another in this process: each is several steps in two services. Between replicas
// the store's etags decide, and the loser repairs.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token   chan struct{} // holds one while free
	waiters int
}

// acquire waits for a name, or for ctx.
func (l *locks) acquire(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[string]*lock)
	}
	k := l.held[name]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		k.token <- struct{}{}
		l.held[name] = k
	}
	k.waiters++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		if k.waiters--; k.waiters == 0 {
			delete(l.held, name)
		}
		l.mu.Unlock()
	}
	select {
	case <-k.token:
		return func() { k.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// undoTime bounds what is done to undo a change whose caller may have gone.
const undoTime = 10 * time.Second

func undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTime)
}
