package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

// Transcript runs a log of operations, which the seed alone decides, on a fresh store and returns every answer as a line. All stores give
// the same transcript: uids that a store made appear by the order in which they came.
func Transcript(t *testing.T, seed uint64, steps int, open Open) []string {
	t.Helper()
	e := &env{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	e.Store = open(t, e.clock)
	x := &transcript{env: e, t: t, r: rand.New(rand.NewPCG(seed, 3)), names: make(map[audience.UID]string)}
	for step := range steps {
		x.step()
		e.advance(time.Duration(1+x.r.IntN(90)) * time.Second)
		if step%40 == 39 || step == steps-1 {
			x.readAll()
		}
	}
	return x.lines
}

type transcript struct {
	*env
	t     *testing.T
	r     *rand.Rand
	names map[audience.UID]string
	uids  []audience.UID // all that were met
	lines []string
	// through is how far each import has come.
	through [2]int64
}

// name is how a uid appears.
func (x *transcript) name(uid audience.UID) string {
	if uid == (audience.UID{}) {
		return "none"
	}
	name, known := x.names[uid]
	if !known {
		name = fmt.Sprint("made ", len(x.names))
		if uid[0] == 0x01 && uid[1] == 0x80 && uid[15] == 1 {
			name = profile.Name(uid)
		}
		x.names[uid] = name
		x.uids = append(x.uids, uid)
	}
	return name
}

// say adds a line.
func (x *transcript) say(what string, err error, answers ...any) {
	line := []byte(what)
	if f := fault.As(err); f != nil {
		line = fmt.Appendf(line, " fault %s %s", f.Kind, f.Reason)
		for _, v := range f.Violations {
			line = fmt.Appendf(line, " at %s", v.Field)
		}
	} else if err != nil {
		x.t.Fatalf("%s: %v", what, err)
	} else {
		for _, a := range answers {
			text, err := json.Marshal(a)
			must(x.t, err)
			line = append(append(line, ' '), text...)
		}
	}
	x.lines = append(x.lines, string(line))
}

// person is a profile with its uid replaced by its name.
func (x *transcript) person(p *profile.Profile) any {
	if p == nil {
		return nil
	}
	c := p.Clone()
	c.UID = audience.UID{}
	return []any{x.name(p.UID), c}
}

// random makes a profile that may clash with others in every way.
func (x *transcript) random() *profile.Profile {
	r := x.r
	p := &profile.Profile{Occupation: fmt.Sprint(r.IntN(4))}
	for n := range 3 {
		switch r.IntN(4) {
		case 0:
			p.Identifiers = append(p.Identifiers, external(string(rune('a'+n)), r.IntN(15)))
		case 1:
			p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: "phone", Source: string(rune('a' + n)), Value: fmt.Sprint("+336399800", 10+r.IntN(20))})
		}
	}
	slices.SortFunc(p.Identifiers, func(a, b profile.Identifier) int {
		return bytes.Compare([]byte(a.Kind+a.Source), []byte(b.Kind+b.Source))
	})
	if r.IntN(3) == 0 {
		name := fmt.Sprint("né ", r.IntN(3))
		p.GivenName = &name
	}
	if r.IntN(3) == 0 {
		p.UID = uid(r.IntN(20))
	}
	return p
}

func (x *transcript) rows() []profile.Row {
	rows := make([]profile.Row, x.r.IntN(8))
	for i := range rows {
		if x.r.IntN(12) > 0 {
			rows[i].Profile = x.random()
		}
		if x.r.IntN(10) == 0 {
			rows[i].Etag = profile.Etag(int64(x.r.IntN(30)))
		}
	}
	return rows
}

func (x *transcript) upserted(results []profile.Upserted) any {
	var list []any
	for _, u := range results {
		list = append(list, []any{x.name(u.UID), u.Outcome, fault.ReasonOf(u.Err)})
	}
	return list
}

// any is a uid that is likely to be there.
func (x *transcript) any() audience.UID {
	if len(x.uids) == 0 || x.r.IntN(8) == 0 {
		return uid(x.r.IntN(20))
	}
	return x.uids[x.r.IntN(len(x.uids))]
}

func (x *transcript) etag() string {
	if x.r.IntN(6) == 0 {
		return profile.Etag(int64(x.r.IntN(60)))
	}
	return ""
}

func (x *transcript) step() {
	ctx := x.t.Context()
	switch x.r.IntN(12) {
	case 0, 1:
		request := ""
		if x.r.IntN(3) == 0 {
			request = fmt.Sprint("request ", x.r.IntN(6))
		}
		p, at, err := x.Create(ctx, x.random(), request)
		x.say("create", err, x.person(p), at.Revision)
	case 2, 3:
		number, refused := x.r.IntN(4), x.r.IntN(10) == 0
		fresh := x.random()
		p, at, err := x.Update(ctx, x.any(), x.etag(), func(p *profile.Profile) error {
			if refused {
				return fault.New(fault.Invalid, "OWN", "refused")
			}
			p.Occupation = fmt.Sprint(number)
			if number > 1 {
				p.GivenName, p.Identifiers = fresh.GivenName, fresh.Identifiers
			}
			return nil
		})
		x.say("update", err, x.person(p), at.Revision)
	case 4:
		at, err := x.Delete(ctx, x.any(), x.etag())
		x.say("delete", err, at.Revision)
	case 5:
		rows := slices.DeleteFunc(x.rows(), func(r profile.Row) bool { return r.Profile == nil })
		results, at, err := x.Upsert(ctx, rows)
		x.say("upsert", err, x.upserted(results), at.Revision)
	case 6, 7:
		id := x.r.IntN(2)
		from := x.through[id]
		if x.r.IntN(10) == 0 {
			from++
		}
		results, p, at, err := x.Import(ctx, fmt.Sprint("import ", id), from, x.rows())
		if err == nil {
			x.through[id] = p.Through
		}
		x.say("import", err, x.upserted(results), p, at.Revision)
	case 8:
		id := string(rune('a' + x.r.IntN(5)))
		a, at, err := x.CreateAttribute(ctx, &profile.Attribute{ID: id, Type: profile.TypeString, Allowed: []string{"x"}, Description: "déclaré"})
		if fault.ReasonOf(err) == profile.ReasonAttributeExists {
			a, at, err = x.UpdateAttribute(ctx, id, x.etag(), func(a *profile.Attribute) error {
				a.Sensitive = !a.Sensitive
				return nil
			})
		}
		x.say("attribute", err, a, at.Revision)
	case 9, 10:
		want := profile.MergeOptions{Etag: x.etag(), Policy: profile.MergePolicy(x.r.IntN(2)), Trust: []string{"crm"}}
		p, until, at, err := x.Merge(ctx, x.any(), x.any(), want)
		x.say("merge", err, x.person(p), until, at.Revision)
	case 11:
		restored, remaining, at, err := x.Unmerge(ctx, x.any())
		x.say("unmerge", err, x.person(restored), x.person(remaining), at.Revision)
	}
}

// readAll reads everything in every way.
func (x *transcript) readAll() {
	ctx := x.t.Context()
	var after audience.UID
	for {
		list, err := x.List(ctx, after, 7)
		must(x.t, err)
		for _, p := range list {
			x.say("listed", nil, x.person(p))
			after = p.UID
		}
		if len(list) < 7 {
			break
		}
	}
	many, err := x.BatchGet(ctx, x.uids)
	must(x.t, err)
	for i, p := range many {
		x.say("got "+x.name(x.uids[i]), nil, x.person(p))
		_, err := x.Get(ctx, x.uids[i])
		x.say("get "+x.name(x.uids[i]), err)
	}
	head := x.head(x.t)
	for _, want := range []profile.PageOptions{{Limit: 1000, Bytes: 1 << 20}, {Limit: 3, Bytes: 1 << 20, WithoutContact: true}, {Limit: 50, Bytes: 200}} {
		for after := int64(x.r.IntN(int(head.Revision) + 1)); ; {
			page, err := x.Changes(ctx, after, want)
			must(x.t, err)
			for _, c := range page.Changes {
				after = c.Revision
				var deleted, into audience.UID
				if c.Deleted != nil {
					deleted = *c.Deleted
				}
				if c.MergedInto != nil {
					into = *c.MergedInto
				}
				x.say("changed", nil, c.Revision, x.person(c.Profile), x.name(deleted), x.name(into), c.Attribute)
			}
			x.say("page", nil, page.Head.Revision, page.More)
			if !page.More {
				break
			}
		}
	}
	var ids []profile.Identifier
	for n := range 30 {
		ids = append(ids, external(string(rune('a'+n%3)), n/2), profile.Identifier{Kind: "phone", Value: fmt.Sprint("+336399800", 10+n)})
	}
	found, err := x.Resolve(ctx, ids)
	must(x.t, err)
	for i, uids := range found {
		var names []string
		for _, uid := range uids {
			names = append(names, x.name(uid))
		}
		x.say("resolved", nil, ids[i], names)
	}
	schema, err := x.Schema(ctx)
	x.say("schema", err, schema)
	for id := range 2 {
		p, at, err := x.ImportProgress(ctx, fmt.Sprint("import ", id))
		x.say("progress", err, p, at.Revision)
	}
}
