package rpc_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	tokenv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/token/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

type watchStream = grpc.ServerStreamingClient[profilev1.WatchProfilesResponse]

func (w *world) watch(ctx context.Context, t *testing.T, after string) watchStream {
	t.Helper()
	stream, err := w.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{After: after})
	must(t, err)
	return stream
}

// through receives until the position reaches a revision, and returns the messages.
func through(t *testing.T, stream watchStream, revision int64) []*profilev1.WatchProfilesResponse {
	t.Helper()
	var all []*profilev1.WatchProfilesResponse
	for {
		m, err := stream.Recv()
		must(t, err)
		all = append(all, m)
		if m.GetPosition().GetRevision() >= revision {
			return all
		}
	}
}

// shape writes messages as text: the revisions of the changes, a letter for their kind.
func shape(messages []*profilev1.WatchProfilesResponse) string {
	var b strings.Builder
	for _, m := range messages {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('[')
		for i, c := range m.GetChanges() {
			if i > 0 {
				b.WriteByte(' ')
			}
			kind := map[bool]string{true: "p"}[c.GetProfile() != nil] + map[bool]string{true: "a"}[c.GetAttribute() != nil] + map[bool]string{true: "d"}[c.GetDeletedProfile() != ""]
			fmt.Fprintf(&b, "%s%d", kind, c.GetRevision())
		}
		fmt.Fprintf(&b, "]@%d", m.GetPosition().GetRevision())
		if m.GetReplaying() {
			b.WriteByte('r')
		}
	}
	return b.String()
}

func TestAWatchReplaysTheSchemaThenEachLastStateAndFollows(t *testing.T) {
	for name, w := range map[string]*world{
		"in process": inProcess(t, rpc.Options{MessageChanges: 2, Checkpoint: time.Hour}), "over the network": networked(t, rpc.Options{MessageChanges: 2, Checkpoint: time.Hour}),
	} {
		t.Run(name, func(t *testing.T) {
			w.declare(t, "a", profilev1.Attribute_TYPE_BOOL) // 1
			var names []string
			for n := range 4 { // 2 to 5
				names = append(names, w.create(t, &profilev1.Profile{Identifiers: external(fmt.Sprint(n))}).GetName())
			}
			w.declare(t, "b", profilev1.Attribute_TYPE_BOOL) // 6
			w.declare(t, "c", profilev1.Attribute_TYPE_BOOL) // 7
			_, err := w.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: names[1]})
			must(t, err)
			_, err = w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{Profile: &profilev1.Profile{Name: names[0], Region: proto.String("FR")}})
			must(t, err)
			stream := w.watch(t.Context(), t, "")
			replay := through(t, stream, 9)
			if got, want := shape(replay), "[a1 a6]@0r [a7]@0r [p4 p5]@0r [d8 p9]@9"; got != want {
				t.Errorf("replayed %s, want %s", got, want)
			}
			if d, p := replay[3].GetChanges()[0], replay[3].GetChanges()[1]; d.GetDeletedProfile() != names[1] || p.GetProfile().GetName() != names[0] || p.GetProfile().GetRegion() != "FR" {
				t.Errorf("the last message is %v", replay[3])
			}
			w.create(t, &profilev1.Profile{})
			if got, want := shape(through(t, stream, 10)), "[p10]@10"; got != want {
				t.Errorf("followed with %s, want %s", got, want)
			}
			made := w.declare(t, "d", profilev1.Attribute_TYPE_DECIMAL, func(a *profilev1.Attribute) { a.Scale = 2 })
			live := through(t, stream, 11)
			made.ConsistencyToken = ""
			if shape(live) != "[a11]@11" || !proto.Equal(live[0].GetChanges()[0].GetAttribute(), made) {
				t.Errorf("followed with %s %v, want %v", shape(live), live, made)
			}
			// From each cursor on there is the rest.
			for i, want := range []string{"[a1 p4]@0r [p5 a6]@0r [a7 d8]@0r [p9 p10]@0r [a11]@11", "[a1 p4]@0r [p5 a6]@0r [a7 d8]@0r [p9 p10]@0r [a11]@11", "[a6 a7]@0r [d8 p9]@0r [p10 a11]@11", "[p10 a11]@11"} {
				if got := shape(through(t, w.watch(t.Context(), t, replay[i].GetChangesThrough()), 11)); got != want {
					t.Errorf("from message %d on: %s, want %s", i, got, want)
				}
			}
			if got, want := shape(through(t, w.watch(t.Context(), t, live[0].GetChangesThrough()), 11)), "[]@11"; got != want {
				t.Errorf("from the head on: %s, want %s", got, want)
			}
		})
	}
}

func TestAnIdleWatchHearsOfThePosition(t *testing.T) {
	w := networked(t, rpc.Options{Checkpoint: time.Millisecond})
	stream := w.watch(t.Context(), t, "")
	for range 3 {
		m, err := stream.Recv()
		must(t, err)
		if shape([]*profilev1.WatchProfilesResponse{m}) != "[]@0" || m.GetChangesThrough() == "" || len(m.GetPosition().GetMark()) == 0 {
			t.Errorf("a checkpoint of an empty store is %v", m)
		}
	}
}

func TestCursorsThatAreNoneOrOfAnotherStoreAreRefused(t *testing.T) {
	w, other := inProcess(t, rpc.Options{}), inProcess(t, rpc.Options{})
	w.create(t, &profilev1.Profile{})
	other.create(t, &profilev1.Profile{})
	cursor := through(t, w.watch(t.Context(), t, ""), 1)[0].GetChangesThrough()
	change := func(f func(c *tokenv1.WatchCursor)) string {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		must(t, err)
		var c tokenv1.WatchCursor
		must(t, proto.Unmarshal(raw, &c))
		f(&c)
		raw, err = proto.Marshal(&c)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	for _, c := range []struct {
		w      *world
		cursor string
		kind   fault.Kind
		reason string
	}{
		{w, "?", fault.Invalid, profile.ReasonCursorInvalid},
		{w, "AAAA", fault.Invalid, profile.ReasonCursorInvalid},
		{w, change(func(c *tokenv1.WatchCursor) { c.Version = 2 }), fault.Invalid, profile.ReasonCursorInvalid},
		{w, change(func(c *tokenv1.WatchCursor) { c.Revision = -1 }), fault.Invalid, profile.ReasonCursorInvalid},
		{w, change(func(c *tokenv1.WatchCursor) { c.Revision = 2 }), fault.Precondition, profile.ReasonCursorOfAnotherStore},
		{w, change(func(c *tokenv1.WatchCursor) { c.Mark = []byte("12345678") }), fault.Precondition, profile.ReasonCursorOfAnotherStore},
		{w, change(func(c *tokenv1.WatchCursor) { c.Incarnation = "x" }), fault.Precondition, profile.ReasonCursorOfAnotherStore},
		{other, cursor, fault.Precondition, profile.ReasonCursorOfAnotherStore},
	} {
		_, err := c.w.watch(t.Context(), t, c.cursor).Recv()
		wantFault(t, err, c.kind, c.reason, "")
	}
}

func TestASlowWatcherIsCutAndGoesOnFromItsCursor(t *testing.T) {
	// Over the network, where flow control holds the message back; inside the process the cut is the same, but its end is only
	// seen by a reader who reads on.
	// Each change is a message that the windows of flow control hold, so that every stream brings the reader on, however busy the machine.
	w := networked(t, rpc.Options{SendTimeout: 100 * time.Millisecond, MessageChanges: 1})
	// Together they are far more.
	big := &typev1.TextList{}
	for i := range 250 {
		big.Values = append(big.Values, fmt.Sprintf("%0190d", i))
	}
	for n := range 30 {
		_, err := w.BatchUpsertProfiles(t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{
			{Interests: big, Identifiers: external(fmt.Sprint(n))}, {Interests: big}, {Interests: big}, {Interests: big},
		}})
		must(t, err)
	}
	head := w.revision(t)
	stream := w.watch(t.Context(), t, "")
	cursor, seen, cuts := "", 0, 0
	for at := int64(0); at < head; {
		if seen > 0 && cuts == 0 {
			// The reader does not read until the server has given it up, and then goes on from its last cursor, perhaps to be cut again.
			waitUntilAlone(t, w)
		}
		m, err := stream.Recv()
		if err != nil {
			wantFault(t, err, fault.Exhausted, profile.ReasonWatcherTooSlow, "")
			cuts++
			stream = w.watch(t.Context(), t, cursor)
			continue
		}
		cursor, at = m.GetChangesThrough(), m.GetPosition().GetRevision()
		seen += len(m.GetChanges())
	}
	if cuts == 0 {
		t.Error("the reader was not cut")
	}
	if seen != int(head) {
		t.Errorf("the reader saw %d changes in all its streams, want %d", seen, head)
	}
}

// waitUntilAlone waits until no stream has work beside its handler, as a server does when it stops.
func waitUntilAlone(t *testing.T, w *world) {
	t.Helper()
	done := make(chan struct{})
	go func() { w.service.Wait(context.Background()); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not give the reader up")
	}
}

// TestAWatcherMissesAndReordersNothingWhileOthersWrite keeps several writers at work, each of which notes what was acknowledged.
// Watchers begin, are cut at random and go on from their last cursor. Whenever one has been told a position, it must know the
// state that every write up to there left, or a later one.
func TestAWatcherMissesAndReordersNothingWhileOthersWrite(t *testing.T) {
	w := inProcess(t, rpc.Options{MessageChanges: 3, Checkpoint: 5 * time.Millisecond})
	const writers, writes, watchers = 4, 80, 3
	var names []string
	for range 25 {
		names = append(names, w.create(t, &profilev1.Profile{}).GetName())
	}
	var mu sync.Mutex
	acknowledged := make(map[int64]string) // by revision
	gone := make(map[string]bool)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for n := range writes {
				name := names[r.IntN(len(names)-5)]
				if n%20 == 19 && i == 0 { // some are deleted, and nobody else writes them
					name = names[len(names)-1-n/20]
					if _, err := w.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: name}); err != nil {
						t.Error(err)
					}
					mu.Lock()
					gone[name] = true
					mu.Unlock()
					continue
				}
				p, err := w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{
					Profile: &profilev1.Profile{Name: name, Occupation: proto.String(fmt.Sprint(i, " ", n))}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"occupation"}},
				})
				if err != nil {
					t.Error(err)
					return
				}
				var revision int64
				if _, err := fmt.Sscanf(p.GetEtag(), "\"%d\"", &revision); err != nil {
					t.Error(err)
				}
				mu.Lock()
				acknowledged[revision] = name
				mu.Unlock()
			}
		})
	}
	total := int64(len(names) + writers*writes)
	for i := range watchers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			known := make(map[string]int64)
			states := make(map[string]*profilev1.Profile)
			cursor, position := "", int64(0)
			for position < total {
				ctx, cancel := context.WithCancel(t.Context())
				stream, err := w.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{After: cursor})
				if err != nil {
					t.Error(err)
				}
				last := int64(0)
				for range 1 + r.IntN(40) {
					m, err := stream.Recv()
					if err != nil {
						t.Errorf("watcher %d: %v", i, err)
						cancel()
						return
					}
					for _, c := range m.GetChanges() {
						name := c.GetDeletedProfile()
						if p := c.GetProfile(); p != nil {
							name = p.GetName()
							states[name] = p
						} else {
							delete(states, name)
						}
						if c.GetRevision() <= last || c.GetRevision() <= known[name] {
							t.Errorf("watcher %d: change %d comes after %d, of a profile known at %d", i, c.GetRevision(), last, known[name])
						}
						last, known[name] = c.GetRevision(), c.GetRevision()
					}
					cursor = m.GetChangesThrough()
					if at := m.GetPosition().GetRevision(); at > 0 {
						position = at
						mu.Lock()
						for revision, name := range acknowledged {
							if revision <= at && known[name] < revision {
								t.Errorf("watcher %d was told position %d and does not know the change %d", i, at, revision)
							}
						}
						mu.Unlock()
					}
					if position >= total {
						break
					}
				}
				cancel()
			}
			for name, p := range states {
				got, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: name})
				if err != nil || !proto.Equal(got, p) {
					t.Errorf("watcher %d has %v, stored is %v (%v)", i, p, got, err)
				}
			}
			if len(states) != len(names)-len(gone) {
				t.Errorf("watcher %d has %d profiles, want %d", i, len(states), len(names)-len(gone))
			}
		})
	}
	wg.Wait()
}
