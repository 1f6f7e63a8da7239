package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"

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
	members []audience.Row // by the block's place in the view that it began with
	first   Place          // where it begins
	sent    Sent

	batch []part
	uids  []audience.UID
}

func (r *Resolver) begin(s *blocks.Session, p *plan, q *Stream) (*stream, error) {
	fingerprint, err := Fingerprint(q.Spec, p.day)
	if err != nil {
		return nil, err
	}
	v := s.View()
	st := &stream{r: r, q: q, session: s, plan: p, protect: p.protect, members: make([]audience.Row, v.Len())}
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

// evaluate finds the members that are still to be sent, over all blocks. What it keeps of a block is a list where they are few, and a
// bitmap where they are many.
func (st *stream) evaluate(ctx context.Context) error {
	v := st.session.View()
	if st.plan.household {
		return st.plan.keepOne(ctx, st.session, nil, func(at int, _ audience.Block, members *audience.Bits) error {
			st.members[at] = audience.NewRow(members)
			return nil
		})
	}
	all := st.plan.all
	_, err := st.session.Scan(ctx, blocks.Scan{
		Fields: st.plan.fields,
		Look:   blocks.Absent(all),
		Looks:  &st.plan.absent,
		Do: func(_, at int, b audience.Block) error {
			if v.Block(at) < st.first.Block {
				return nil
			}
			members, err := all.Members(b)
			st.members[at] = members // each block's own
			return err
		},
	})
	return err
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
	v := st.session.View()
	if st.q.Begin != nil {
		if err := st.q.Begin(info(st.session, st.plan)); err != nil {
			return nil, err
		}
	}
	waiting := 0
	var left audience.Bits // of one block
	for at := range v.Len() {
		block, row := v.Block(at), st.members[at]
		st.members[at] = audience.Row{}
		if row.IsEmpty() || block < st.first.Block {
			continue
		}
		left.Clear()
		row.Into(&left)
		if block == st.first.Block {
			clearBelow(&left, st.first.Ordinal)
		}
		for !left.IsEmpty() && !st.full() {
			room := BatchSize - waiting
			if st.q.Limit > 0 {
				room = int(min(int64(room), st.q.Limit-st.sent.Count-int64(waiting)))
			}
			if room > 0 {
				p := st.part()
				p.take(block, &left, room)
				waiting += p.count
			}
			if waiting == BatchSize || st.q.Limit > 0 && st.sent.Count+int64(waiting) == st.q.Limit {
				if err := st.flush(ctx); err != nil {
					return nil, err
				}
				waiting = 0
			}
		}
		if st.full() {
			break
		}
	}
	if err := st.flush(ctx); err != nil {
		return nil, err
	}
	return &st.sent, nil
}

// part adds a part to the batch, in memory that was used before.
func (st *stream) part() *part {
	if len(st.batch) < cap(st.batch) {
		st.batch = st.batch[:len(st.batch)+1]
	} else {
		st.batch = append(st.batch, part{})
	}
	p := &st.batch[len(st.batch)-1]
	p.members.Clear()
	p.count = 0
	return p
}

func (st *stream) full() bool { return st.q.Limit > 0 && st.sent.Count >= st.q.Limit }

// flush hands out the batch, without those who have gone.
func (st *stream) flush(ctx context.Context) error {
	batch := st.batch
	if len(batch) == 0 {
		return nil
	}
	err := st.left(ctx)
	// A definition that is replaced touches no consent; the newest view has it.
	for try := 1; try < 5 && errors.Is(err, blocks.ErrDefinitionsMoved); try++ {
		err = st.left(ctx)
	}
	if err != nil {
		return err
	}
	for i := range batch {
		st.sent.HeldBack += int64(batch[i].count)
	}
	st.sent.HeldBack -= int64(len(st.uids))
	last := &batch[len(batch)-1]
	st.sent.Next.Block, st.sent.Next.Ordinal = last.block, last.next
	st.sent.Count += int64(len(st.uids))
	st.batch = batch[:0]
	if len(st.uids) == 0 {
		return nil
	}
	return st.q.Send(st.uids, st.sent.Next)
}

// left makes st.uids the uids of those in the batch who have not gone. The dictionaries are in memory before the consents are looked at,
// so that nothing slow lies between that look and the sending.
func (st *stream) left(ctx context.Context) error {
	if err := st.refresh(); err != nil {
		return err
	}
	for i := range st.batch {
		if err := st.session.Warm(ctx, st.batch[i].block, &st.batch[i].members); err != nil {
			return err
		}
	}
	if err := st.refresh(); err != nil {
		return err
	}
	var protect blocks.Expression
	if st.protect != nil {
		protect = st.protect
	}
	if st.uids == nil {
		// One batch is as long as the audience, or as all others.
		n := 0
		for i := range st.batch {
			n += st.batch[i].count
		}
		st.uids = make([]audience.UID, 0, n)
	}
	uids := st.uids[:0]
	for i := range st.batch {
		p := &st.batch[i]
		if _, err := st.session.Reapply(ctx, p.block, protect, &p.members); err != nil {
			return err
		}
		var err error
		if uids, _, err = st.session.UIDs(ctx, p.block, &p.members, uids); err != nil {
			return err
		}
	}
	st.uids = uids
	return nil
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

// take moves the first n members of a block, or all where they are fewer, into p.
func (p *part) take(block uint32, members *audience.Bits, n int) {
	p.block = block
	for i, w := range members {
		if w == 0 {
			continue
		}
		count := bits.OnesCount64(w)
		if p.count+count > n {
			rest := w
			for range n - p.count {
				rest &= rest - 1
			}
			w &^= rest
			count = n - p.count
		}
		p.members[i] = w
		members[i] &^= w
		p.count += count
		p.next = uint32(i<<6 + bits.Len64(w))
		if p.count == n {
			return
		}
	}
}

// clearBelow removes the ordinals below o.
func clearBelow(members *audience.Bits, o uint32) {
	word := int(min(o/64, audience.Words))
	clear(members[:word])
	if word < audience.Words {
		members[word] &^= 1<<(o%64) - 1
	}
}
