package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
)

// book is what the actors remember. Those who write own what they write; the lock is for who looks at what others own.
type book struct {
	mu      sync.Mutex
	people  []*human          // of the editors
	batches []*upserts        // of those who upsert
	plain   map[string]bool   // external ids of people who are there and have no story
	buyers  map[string]*buyer // by external id
	changes int64             // acknowledged, each of which made at least one revision
	tried   int64             // at most so many revisions
}

func newBook() book { return book{plain: map[string]bool{}, buyers: map[string]*buyer{}} }

// note counts changes that were acknowledged, and that were tried.
func (b *book) note(acknowledged, tried int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes += int64(acknowledged)
	b.tried += int64(tried)
}

// state is what one write leaves in a profile.
type state struct {
	version int
	mail    string
}

// human is a profile with a story.
type human struct {
	name, external, etag string
	mails                []string // all that were ever given
	sure                 state    // acknowledged
	maybe                []state  // written since, without an answer
	dying, dead          bool
}

// editor has people created, changed and deleted, one at a time.
func (d *ordeal) editor(k int) {
	n := 0
	d.act(fmt.Sprintf("editor %d", k), func(a *actor) {
		n++
		h := &human{external: fmt.Sprintf("person-%d-%d", k, n)}
		a.create(h)
		for v := 1; v <= 2+a.r.IntN(6) && !a.d.over(); v++ {
			a.update(h, v)
			a.pause(time.Duration(a.r.IntN(10)) * time.Millisecond)
		}
		if a.r.IntN(3) == 0 {
			a.remove(h)
		}
	})
}

func (h *human) address(v int) string { return fmt.Sprintf("%s.%d@example.com", h.external, v) }

// create repeats a creation with one request id until it is acknowledged, and now and then once more.
func (a *actor) create(h *human) {
	h.sure = state{0, h.address(0)}
	h.mails = []string{h.sure.mail}
	create := func(ctx context.Context, _ bool) error {
		p, err := a.d.profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{RequestId: h.external, Profile: &profilev1.Profile{
			Occupation: version(0), Identifiers: []*profilev1.Identifier{external(h.external), mail(h.sure.mail)},
		}})
		if err != nil {
			return err
		}
		if h.name != "" && h.name != p.GetName() {
			a.d.t.Errorf("%s: one request id made %s and %s", a.name, h.name, p.GetName())
		}
		h.name, h.etag = p.GetName(), p.GetEtag()
		return nil
	}
	a.until("creating a profile", create)
	if a.r.IntN(5) == 0 {
		a.until("creating a profile again", create)
	}
	a.d.note(1, 1)
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	a.d.people = append(a.d.people, h)
}

// update changes a profile whose etag is known, once.
func (a *actor) update(h *human, v int) {
	next := state{v, h.sure.mail}
	req := &profilev1.UpdateProfileRequest{
		Profile: &profilev1.Profile{Name: h.name, Etag: h.etag, Occupation: version(v)}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"occupation"}},
	}
	if a.r.IntN(3) == 0 {
		next.mail = h.address(v)
		h.mails = append(h.mails, next.mail)
		req.Profile.Identifiers = []*profilev1.Identifier{external(h.external), mail(next.mail)}
		req.UpdateMask.Paths = append(req.UpdateMask.Paths, "identifiers")
	} else if len(h.maybe) > 0 { // which address it has is not known: this write says
		req.Profile.Identifiers = []*profilev1.Identifier{external(h.external), mail(next.mail)}
		req.UpdateMask.Paths = append(req.UpdateMask.Paths, "identifiers")
	}
	mismatch := false
	o := a.call("updating a profile", func(ctx context.Context) error {
		p, err := a.d.profiles.UpdateProfile(ctx, req)
		if fault.ReasonOf(err) == "ETAG_MISMATCH" && len(h.maybe) > 0 {
			mismatch = true // a write without an answer was committed after it was looked for
			return nil
		}
		if err == nil {
			h.etag = p.GetEtag()
		}
		return err
	})
	switch {
	case mismatch:
		a.look(h)
		return
	case o == done:
		h.sure, h.maybe = next, nil
		a.d.note(1, 1)
	case o == unknown:
		h.maybe = append(h.maybe, next)
		a.d.note(0, 1)
		a.look(h)
	}
}

// look reads a profile to learn its etag, and holds it to what is known.
func (a *actor) look(h *human) {
	a.until("reading a profile", func(ctx context.Context, _ bool) error {
		p, err := a.d.profiles.GetProfile(ctx, &profilev1.GetProfileRequest{Name: h.name})
		if err != nil {
			return err
		}
		h.etag = p.GetEtag()
		if why := h.differs(p); why != "" {
			a.d.t.Errorf("%s, reading after an unknown outcome: %s", a.name, why)
		}
		return nil
	})
}

// differs says what is wrong with a profile; nothing if it is as it was acknowledged, or as a later write would have it.
func (h *human) differs(p *profilev1.Profile) string {
	got := state{-1, ""}
	_, _ = fmt.Sscanf(p.GetOccupation(), "v%d", &got.version) // -1 is no version
	for _, id := range p.GetIdentifiers() {
		if id.GetSource() == "" {
			got.mail = id.GetValue()
		}
	}
	if got == h.sure || slices.Contains(h.maybe, got) {
		return ""
	}
	return fmt.Sprintf("%s (%s) is %+v; acknowledged was %+v, and written since %+v", h.name, h.external, got, h.sure, h.maybe)
}

func (a *actor) remove(h *human) {
	a.d.mu.Lock()
	h.dying = true
	a.d.mu.Unlock()
	a.until("deleting a profile", func(ctx context.Context, again bool) error {
		_, err := a.d.profiles.DeleteProfile(ctx, &profilev1.DeleteProfileRequest{Name: h.name})
		if again && fault.ReasonOf(err) == "PROFILE_NOT_FOUND" {
			return nil // the try without an answer did it
		}
		return err
	})
	a.d.mu.Lock()
	h.dead = true
	a.d.mu.Unlock()
	a.d.note(1, 1)
}

// upserts is a batch of profiles that are written together.
type upserts struct {
	names []string
	ids   []string
	sure  int
	maybe []int
}

// upserter writes the same people over and over, all with one version.
func (d *ordeal) upserter(k int) {
	b := &upserts{sure: -1}
	for i := range 20 {
		b.ids = append(b.ids, fmt.Sprintf("batch-%d-%d", k, i))
	}
	d.batches = append(d.batches, b)
	n := 0
	d.act(fmt.Sprintf("upserter %d", k), func(a *actor) {
		n++
		req := &profilev1.BatchUpsertProfilesRequest{}
		for _, id := range b.ids {
			req.Profiles = append(req.Profiles, &profilev1.Profile{Occupation: version(n), Identifiers: []*profilev1.Identifier{external(id)}})
		}
		upsert := func(ctx context.Context, _ bool) error {
			res, err := d.profiles.BatchUpsertProfiles(ctx, req)
			if err != nil {
				return err
			}
			for i, r := range res.GetResults() {
				if len(b.names) == i {
					b.names = append(b.names, r.GetName())
				}
				if b.names[i] != r.GetName() {
					d.t.Errorf("%s: %s is %s and %s", a.name, b.ids[i], b.names[i], r.GetName())
				}
			}
			return nil
		}
		o := done
		if b.sure < 0 { // its people must be there in the end
			a.until("upserting profiles", upsert)
		} else {
			o = a.call("upserting profiles", func(ctx context.Context) error { return upsert(ctx, false) })
		}
		switch o {
		case done:
			b.sure, b.maybe = n, nil
			d.note(len(b.ids), len(b.ids))
		case unknown:
			b.maybe = append(b.maybe, n)
			d.note(0, len(b.ids))
		case not:
		}
		a.pause(time.Duration(a.r.IntN(30)) * time.Millisecond)
	})
}

// stream sends chunks of an import until all its rows are committed, over as many streams as it takes. It returns the last answer.
func stream[Q, A any, answer interface {
	*A
	GetCommittedThrough() int64
}](a *actor, doing string, rows, size int, open func(ctx context.Context) (grpc.BidiStreamingClient[Q, A], error), start *Q, chunk func(from, to int) *Q) answer {
	var last answer
	acknowledged := int64(0)
	once := func(ctx context.Context, _ bool) error {
		ctx, cancel := context.WithCancel(ctx)
		s, err := open(ctx)
		if err != nil {
			cancel()
			return err
		}
		var sending sync.WaitGroup
		defer sending.Wait()
		defer cancel()
		if err := s.Send(start); err != nil && !errors.Is(err, io.EOF) { // EOF: the answer says why
			return err
		}
		for first := true; ; first = false {
			m, err := s.Recv()
			if errors.Is(err, io.EOF) {
				if acknowledged < int64(rows) {
					a.d.t.Errorf("%s: an import of %d rows ends well after %d", a.name, rows, acknowledged)
				}
				return nil
			}
			if err != nil {
				return err
			}
			last = m
			through := last.GetCommittedThrough()
			if through < acknowledged {
				a.d.t.Errorf("%s: %d rows were acknowledged, and now %d are", a.name, acknowledged, through)
			}
			acknowledged = through
			a.acks.Add(1)
			if !first {
				continue
			}
			sending.Go(func() {
				for from := int(through); from < rows; from += size {
					if s.Send(chunk(from, min(from+size, rows))) != nil {
						return // the receiving side says why
					}
					a.pause(time.Duration(a.r.IntN(20)) * time.Millisecond)
				}
				_ = s.CloseSend() // as above
			})
		}
	}
	a.until(doing, once)
	return last
}

// importer imports people.
func (d *ordeal) importer(k int) {
	round := 0
	d.act(fmt.Sprintf("importer %d", k), func(a *actor) {
		const rows = 400
		round++
		id := func(i int) string { return fmt.Sprintf("row-%d-%d-%d", k, round, i) }
		start := &profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Start_{
			Start: &profilev1.ImportProfilesRequest_Start{ImportId: fmt.Sprintf("people-%d-%d", k, round)},
		}}
		end := stream(a, "importing profiles", rows, 25, func(ctx context.Context) (grpc.BidiStreamingClient[profilev1.ImportProfilesRequest, profilev1.ImportProfilesResponse], error) {
			return d.profiles.ImportProfiles(ctx)
		}, start, func(from, to int) *profilev1.ImportProfilesRequest {
			c := &profilev1.ImportProfilesRequest_Chunk{Offset: int64(from)}
			for i := from; i < to; i++ {
				c.Profiles = append(c.Profiles, &profilev1.Profile{Identifiers: []*profilev1.Identifier{external(id(i))}})
			}
			return &profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Chunk_{Chunk: c}}
		})
		if d.ctx.Err() != nil {
			return
		}
		// A row that was applied twice would not have been created.
		if end.GetCommittedThrough() != rows || end.GetCreated() != rows {
			d.t.Errorf("%s: of %d new rows %d are committed, %d created, %d updated, %d unchanged, %d rejected", a.name, rows,
				end.GetCommittedThrough(), end.GetCreated(), end.GetUpdated(), end.GetUnchanged(), end.GetRejected())
		}
		d.mu.Lock()
		for i := range rows {
			d.plain[id(i)] = true
		}
		d.mu.Unlock()
		d.note(rows, rows)
	})
}
