package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// BatchSize is the number of uids in a batch: 256 KiB of 16 bytes.
const BatchSize = 256 << 10 / 16

// Place is where a member stream goes on.
type Place struct {
	Store  string
	Layout uint32
	// Block and Ordinal are the first that was not sent.
	Block   uint32
	Ordinal uint32
	// Fingerprint is that of the spec, Day the day of the question.
	Fingerprint uint64
	Day         int64
}

// Stream asks for the members of an audience.
type Stream struct {
	Spec        campaign.Spec
	Consistency Consistency
	// Resume is where a broken stream goes on; nil: at the beginning.
	Resume *Place
	// Limit is how many members at most; 0: all.
	Limit int64
	// Begin is called once, before the first batch.
	Begin func(Info) error
	// Send is called with each batch and the place behind it. It must not keep the uids.
	Send func(uids []audience.UID, next Place) error
}

// Sent says what a stream has sent.
type Sent struct {
	// Count of members sent, and of those held back because their consent or they themselves have gone since the evaluation.
	Count, HeldBack int64
	// Next is the place behind the last one.
	Next Place
}

// Fingerprint identifies a spec and the day of its question, so that a stream is not resumed with another one.
func Fingerprint(spec campaign.Spec, day int64) (uint64, error) {
	data, err := campaign.EncodeSpec(spec)
	if err != nil {
		return 0, err
	}
	h := fnv.New64a()
	h.Write(data)
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(day)))
	return h.Sum64(), nil
}

// Stream evaluates all blocks and then hands out the members in batches, in order of block and ordinal. Once the first batch was handed
// out, a layout that is replaced ends it with LAYOUT_GONE.
func (r *Resolver) Stream(ctx context.Context, q Stream) (*Sent, error) {
	var answer *Sent
	started := false
	err := r.answer(ctx, q.Spec, q.Consistency, func(s *blocks.Session, p *plan) error {
		if started {
			// What was handed out cannot be taken back: the caller resumes, or begins anew.
			return layoutGone()
		}
		st, err := r.begin(s, p, &q)
		if err != nil {
			return err
		}
		if err := st.evaluate(ctx); err != nil {
			return err
		}
		started = true
		answer, err = st.run(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// stream is one member stream under way.
type stream struct {
	r       *Resolver
	q       *Stream
	session *blocks.Session
	plan    *plan
	// protect is the plan's, compiled under the session's view.
	protect *audience.Expr
	members map[uint32]*audience.Bits
	first   Place // where it begins
	sent    Sent
}

func (r *Resolver) begin(s *blocks.Session, p *plan, q *Stream) (*stream, error) {
	fingerprint, err := Fingerprint(q.Spec, p.day)
	if err != nil {
		return nil, err
	}
	v := s.View()
	st := &stream{r: r, q: q, session: s, plan: p, protect: p.protect, members: make(map[uint32]*audience.Bits)}
	st.first = Place{Store: v.Store, Layout: v.Layout, Fingerprint: fingerprint, Day: p.day}
	if at := q.Resume; at != nil {
		switch {
		case at.Store != v.Store || at.Fingerprint != fingerprint || at.Day != p.day || at.Ordinal > audience.BlockSize:
			return nil, fault.InvalidField(ReasonResumeTokenInvalid, "resume_token",
				"the resume token is of another audience, day or store; leave it out to begin anew")
		case at.Layout != v.Layout:
			return nil, layoutGone()
		}
		st.first = *at
	}
	return st, nil
}

// evaluate finds the members that are still to be sent, over all blocks.
func (st *stream) evaluate(ctx context.Context) error {
	var mu sync.Mutex
	keep := func(block uint32, members *audience.Bits) {
		if block < st.first.Block || members.IsEmpty() {
			return
		}
		if block == st.first.Block {
			clearBelow(members, st.first.Ordinal)
		}
		mu.Lock()
		st.members[block] = members
		mu.Unlock()
	}
	households := newInOrder(st.session.View().Blocks(), nil)
	return st.session.ForEachBlock(ctx, st.plan.query(!st.plan.household), func(block uint32, b audience.Block) error {
		out := new(audience.Bits)
		if err := st.plan.all.Eval(b, nil, out); err != nil {
			return err
		}
		if st.plan.household {
			return households.add(block, b, out, func(left *audience.Bits) { keep(block, left) })
		}
		keep(block, out)
		return nil
	})
}

// part is some members of one block.
type part struct {
	block   uint32
	members audience.Bits
	count   int
	next    uint32 // ordinal behind the last one looked at
}

// run sends what evaluate found.
func (st *stream) run(ctx context.Context) (*Sent, error) {
	st.sent.Next = st.first
	if st.q.Begin != nil {
		if err := st.q.Begin(info(st.session, st.plan)); err != nil {
			return nil, err
		}
	}
	var batch []part
	waiting := 0
	for _, block := range st.session.View().Blocks() {
		members := st.members[block]
		delete(st.members, block)
		for members != nil && !st.full() {
			room := BatchSize - waiting
			if st.q.Limit > 0 {
				room = int(min(int64(room), st.q.Limit-st.sent.Count-int64(waiting)))
			}
			if room > 0 {
				if taken := take(block, members, room); taken.count > 0 {
					waiting += taken.count
					batch = append(batch, taken)
				}
				if members.IsEmpty() {
					members = nil
				}
			}
			if waiting == BatchSize || st.q.Limit > 0 && st.sent.Count+int64(waiting) == st.q.Limit {
				if err := st.flush(ctx, batch); err != nil {
					return nil, err
				}
				batch, waiting = batch[:0], 0
			}
		}
		if st.full() {
			break
		}
	}
	if err := st.flush(ctx, batch); err != nil {
		return nil, err
	}
	return &st.sent, nil
}

func (st *stream) full() bool { return st.q.Limit > 0 && st.sent.Count >= st.q.Limit }

// flush hands out one batch, without those who have gone.
func (st *stream) flush(ctx context.Context, batch []part) error {
	if len(batch) == 0 {
		return nil
	}
	uids, err := st.left(ctx, batch)
	// A definition that is replaced touches no consent; the newest view has it.
	for try := 1; try < 5 && errors.Is(err, blocks.ErrDefinitionsMoved); try++ {
		uids, err = st.left(ctx, batch)
	}
	if err != nil {
		return err
	}
	for i := range batch {
		st.sent.HeldBack += int64(batch[i].count)
	}
	st.sent.HeldBack -= int64(len(uids))
	last := batch[len(batch)-1]
	st.sent.Next.Block, st.sent.Next.Ordinal = last.block, last.next
	st.sent.Count += int64(len(uids))
	if len(uids) == 0 {
		return nil
	}
	return st.q.Send(uids, st.sent.Next)
}

// left returns the uids of those in the batch who have not gone. The dictionaries are read before the consents are looked at, so that
// nothing slow lies between that look and the sending.
func (st *stream) left(ctx context.Context, batch []part) (uids []audience.UID, err error) {
	if err := st.refresh(); err != nil {
		return nil, err
	}
	for i := range batch {
		if _, _, err := st.session.UIDs(ctx, batch[i].block, &batch[i].members, nil); err != nil {
			return nil, err
		}
	}
	if err := st.refresh(); err != nil {
		return nil, err
	}
	var protect blocks.Expression
	if st.protect != nil {
		protect = st.protect
	}
	for i := range batch {
		if _, err := st.session.Reapply(ctx, batch[i].block, protect, &batch[i].members); err != nil {
			return nil, err
		}
		if uids, _, err = st.session.UIDs(ctx, batch[i].block, &batch[i].members, uids); err != nil {
			return nil, err
		}
	}
	return uids, nil
}

// refresh goes on under the newest view. The consents are compiled again where the schema may have changed.
func (st *stream) refresh() error {
	newer, err := st.session.Refresh()
	if err != nil {
		if errors.Is(err, blocks.ErrLayoutGone) {
			return layoutGone()
		}
		return err
	}
	if newer.View().Definitions != st.session.View().Definitions && st.protect != nil {
		c, err := st.r.catalog(newer.View().Definitions)
		if err == nil {
			st.protect, err = audience.Compile(st.plan.consents, audience.Env{Schema: c.schema, Day: st.plan.day, ConsentDay: &st.plan.today})
		}
		if err != nil {
			return fmt.Errorf("look up consents again: %w", err)
		}
	}
	st.session = newer
	return nil
}

// layoutGone ends a stream whose ordinals mean nobody any more. It is not the same fault as the reader's, which invites to try again.
func layoutGone() error {
	return fault.New(fault.Precondition, ReasonLayoutGone, "the index was laid out anew since the stream began; leave the resume token out to begin anew").
		Unmet(ReasonLayoutGone, "resume_token", "begin anew")
}

// take moves the first n members out of a block's.
func take(block uint32, members *audience.Bits, n int) part {
	p := part{block: block}
	for o := range members.All() {
		if p.count == n {
			break
		}
		p.members.Set(o)
		p.count++
		p.next = uint32(o) + 1
	}
	members.AndNot(&p.members)
	return p
}

// clearBelow removes the ordinals below o.
func clearBelow(members *audience.Bits, o uint32) {
	word := int(min(o/64, audience.Words))
	clear(members[:word])
	if word < audience.Words {
		members[word] &^= 1<<(o%64) - 1
	}
}
