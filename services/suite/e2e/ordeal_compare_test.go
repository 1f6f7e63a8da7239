package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
)

// compare ends the watcher once it knows what all others have written, and compares everything with everything.
func (d *ordeal) compare() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.ctx, 3*patience)
	defer cancel()
	head, err := d.profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		d.t.Fatalf("get head: %v", err)
	}
	at := head.GetPosition().GetRevision()
	list := d.list(ctx)

	// Who has watched all the time, and who begins now.
	fresh := d.newFollower("a new watcher")
	d.watching.Go(fresh.run)
	for _, f := range []*follower{d.watch, fresh} {
		f.reach(at)
		f.end()
	}
	d.watching.Wait()
	for _, f := range []*follower{d.watch, fresh} {
		f.differs(list)
	}

	byID := d.everybody(list)
	d.humans(byID)
	d.upserted(byID)
	d.purchases(ctx, byID)
	d.resolves(ctx, byID)
	// Each acknowledged change has a revision of its own, and nothing else has one.
	if at < d.changes || at > d.tried {
		d.t.Errorf("the head is %d; %d changes were acknowledged, and at most %d were tried", at, d.changes, d.tried)
	}
	d.t.Logf("%d profiles, head %d; acknowledged calls %s; %d calls refused, %d of unknown outcome (%d by a broken commit); the watcher took %d changes (%d deletions) in %d streams",
		len(list), at, d.tally(), d.refused.Load(), d.unknown.Load(), d.commits.Load(), d.watch.changes, d.watch.deletions, d.watch.streams)
}

func (d *ordeal) tally() string {
	var parts []string
	for _, a := range d.actors {
		parts = append(parts, fmt.Sprintf("%s %d", a.name, a.acks.Load()))
	}
	return strings.Join(parts, ", ")
}

// list reads the whole store, by pages and by names, which must be the same.
func (d *ordeal) list(ctx context.Context) map[string]*profilev1.Profile {
	d.t.Helper()
	all := map[string]*profilev1.Profile{}
	req := &profilev1.ListProfilesRequest{PageSize: 1000}
	for {
		page, err := d.profiles.ListProfiles(ctx, req)
		if err != nil {
			d.t.Fatalf("list profiles: %v", err)
		}
		for _, p := range page.GetProfiles() {
			if all[p.GetName()] != nil {
				d.t.Errorf("%s is listed twice", p.GetName())
			}
			all[p.GetName()] = p
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(all)), 1000) {
		res, err := d.profiles.BatchGetProfiles(ctx, &profilev1.BatchGetProfilesRequest{Names: names})
		if err != nil {
			d.t.Fatalf("get profiles: %v", err)
		}
		for _, p := range res.GetProfiles() {
			if !proto.Equal(p, all[p.GetName()]) {
				d.t.Errorf("listed\n%v\ngot\n%v", all[p.GetName()], p)
			}
		}
	}
	return all
}

// everybody returns the profiles by external id: all that are expected, each once, and nobody else.
func (d *ordeal) everybody(list map[string]*profilev1.Profile) map[string]*profilev1.Profile {
	d.t.Helper()
	byID := map[string]*profilev1.Profile{}
	for _, p := range list {
		for _, id := range p.GetIdentifiers() {
			if id.GetSource() == "" {
				continue
			}
			if other := byID[id.GetValue()]; other != nil {
				d.t.Errorf("%s and %s are both %s", p.GetName(), other.GetName(), id.GetValue())
			}
			byID[id.GetValue()] = p
		}
	}
	want := maps.Clone(d.plain)
	for _, h := range d.people {
		if !h.dead {
			want[h.external] = true
		}
	}
	for _, b := range d.batches {
		for _, id := range b.ids {
			want[id] = true
		}
	}
	for id := range d.buyers {
		want[id] = true
	}
	for id := range want {
		if byID[id] == nil {
			d.t.Errorf("%s was acknowledged and is not there", id)
		}
	}
	for id, p := range byID {
		if !want[id] {
			d.t.Errorf("%s is there as %s, and should not be", id, p.GetName())
		}
	}
	if len(byID) != len(list) {
		d.t.Errorf("%d profiles have %d external ids", len(list), len(byID))
	}
	return byID
}

func (d *ordeal) humans(byID map[string]*profilev1.Profile) {
	d.t.Helper()
	for _, h := range d.people {
		p := byID[h.external]
		if h.dead || p == nil {
			continue
		}
		if p.GetName() != h.name {
			d.t.Errorf("%s was created as %s and is %s", h.external, h.name, p.GetName())
		}
		if why := h.differs(p); why != "" {
			d.t.Error(why)
		}
	}
}

func (d *ordeal) upserted(byID map[string]*profilev1.Profile) {
	d.t.Helper()
	for _, b := range d.batches {
		first := byID[b.ids[0]].GetOccupation()
		n, err := strconv.Atoi(strings.TrimPrefix(first, "v"))
		if err != nil || n != b.sure && !slices.Contains(b.maybe, n) {
			d.t.Errorf("%s is %s; acknowledged was v%d, and written since %v", b.ids[0], first, b.sure, b.maybe)
		}
		for _, id := range b.ids[1:] {
			if got := byID[id].GetOccupation(); got != first {
				d.t.Errorf("of one batch %s is %s and %s is %s", b.ids[0], first, id, got)
			}
		}
	}
}

// purchases holds the events of each buyer to what was acknowledged, and the traits to the events.
func (d *ordeal) purchases(ctx context.Context, byID map[string]*profilev1.Profile) {
	d.t.Helper()
	total := 0
	for id, b := range d.buyers {
		p := byID[id]
		if p == nil {
			continue
		}
		kept := map[string]int64{}
		req := &profilev1.ListEventsRequest{Parent: p.GetName(), PageSize: 1000}
		for {
			page, err := d.events.ListEvents(ctx, req)
			if err != nil {
				d.t.Fatalf("list events: %v", err)
			}
			for _, e := range page.GetEvents() {
				if _, twice := kept[e.GetEventId()]; twice {
					d.t.Errorf("the event %s is there twice", e.GetEventId())
				}
				kept[e.GetEventId()] = d.cents(e.GetAmount().GetAmount())
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		for event, cents := range b.sure {
			if got, ok := kept[event]; !ok || got != cents {
				d.t.Errorf("the event %s of %s was acknowledged with %d cents; it has %d (there: %v)", event, id, cents, got, ok)
			}
		}
		sum := int64(0)
		for event, cents := range kept {
			sum += cents
			if _, sure := b.sure[event]; sure {
				continue
			}
			if want, tried := b.maybe[event]; !tried || want != cents {
				d.t.Errorf("the event %s of %s has %d cents, and was recorded with %d (at all: %v)", event, id, cents, want, tried)
			}
		}
		total += len(kept)
		traits := p.GetTraits().GetPurchases()
		if got := traits.GetActivity().GetCount(); got != int64(len(kept)) {
			d.t.Errorf("%s has %d purchases, and its traits count %d", id, len(kept), got)
		}
		if got := d.cents(traits.GetSum().GetAmount()); got != sum {
			d.t.Errorf("%s has purchases of %d cents, and its traits say %d", id, sum, got)
		}
	}
	d.t.Logf("%d events of %d buyers", total, len(d.buyers))
}

// cents of an amount; nothing is 0.
func (d *ordeal) cents(amount string) int64 {
	if amount == "" {
		return 0
	}
	whole, part, _ := strings.Cut(amount, ".")
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil {
		d.t.Errorf("%q is no amount", amount)
	}
	return n
}

// resolves asks for every identifier that was ever given: those that are held lead to who holds them, all others to nobody.
func (d *ordeal) resolves(ctx context.Context, byID map[string]*profilev1.Profile) {
	d.t.Helper()
	type question struct {
		id     *profilev1.Identifier
		holder string // "": nobody
	}
	var questions []question
	for id, p := range byID {
		questions = append(questions, question{external(id), p.GetName()})
	}
	for _, h := range d.people {
		p := byID[h.external]
		if p == nil {
			questions = append(questions, question{external(h.external), ""})
		}
		for _, address := range h.mails {
			q := question{mail(address), ""}
			for _, id := range p.GetIdentifiers() {
				if id.GetValue() == address {
					q.holder = p.GetName()
				}
			}
			questions = append(questions, q)
		}
	}
	for some := range slices.Chunk(questions, 1000) {
		req := &profilev1.BatchResolveIdentifiersRequest{}
		for _, q := range some {
			req.Identifiers = append(req.Identifiers, q.id)
		}
		res, err := d.identity.BatchResolveIdentifiers(ctx, req)
		if err != nil {
			d.t.Fatalf("resolve identifiers: %v", err)
		}
		for i, q := range some {
			var want []string
			if q.holder != "" {
				want = []string{q.holder}
			}
			if got := res.GetResults()[i].GetProfiles(); !slices.Equal(got, want) {
				d.t.Errorf("%s resolves to %v, want %v", q.id.GetValue(), got, want)
			}
		}
	}
}
