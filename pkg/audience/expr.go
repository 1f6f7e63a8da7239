package audience

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// ErrUnknown is in the tree of every error about a field that a block does not know.
var ErrUnknown = errors.New("field is unknown")

// UnknownError says which field of a block an evaluation needed and the block did not know.
type UnknownError struct{ Field Field }

// Error names the field's class and attribute or segment, never a value.
func (e *UnknownError) Error() string {
	p, ok := ParseField(e.Field)
	switch {
	case !ok:
		return ErrUnknown.Error()
	case p.Class == ClassLive:
		return ErrUnknown.Error() + ": live"
	case p.Class == ClassSegment:
		return ErrUnknown.Error() + ": segment " + p.Segment
	}
	return ErrUnknown.Error() + ": " + p.Attr
}

// Unwrap returns ErrUnknown.
func (e *UnknownError) Unwrap() error { return ErrUnknown }

// Expr is a compiled predicate: the set of the live ordinals of a block of whom the predicate is true. It is immutable and
// safe for concurrent use.
type Expr struct {
	pos, neg     *node
	fields       []Field
	truthFields  []Field
	dateRelative bool
}

// Fields returns the rows and columns that Eval may read, FieldLive first, each once. The caller must not change the slice.
func (e *Expr) Fields() []Field { return e.fields }

// TruthFields returns the rows and columns that Truth may read: those of Fields first, then those that tell false from
// unknown. The caller must not change the slice.
func (e *Expr) TruthFields() []Field { return e.truthFields }

// DateRelative reports whether the members depend on the day of the question.
func (e *Expr) DateRelative() bool { return e.dateRelative }

// Size returns the number of the expression's nodes, each counted as often as it is evaluated.
func (e *Expr) Size() int { return e.pos.size + e.neg.size }

// String returns the expression for people and for Fingerprint. Equal expressions have equal strings.
func (e *Expr) String() string {
	var b strings.Builder
	e.pos.write(&b)
	return b.String()
}

// Fingerprint returns 32 hexadecimal digits that are equal for equal expressions, in every process and release that prints
// them alike, and differ for others.
func (e *Expr) Fingerprint() string {
	sum := sha256.Sum256([]byte(e.String()))
	return hex.EncodeToString(sum[:16])
}

// Eval sets out to the members among within: those live ordinals of within (nil: all) for whom the expression holds. Words
// of within that are 0 cost next to nothing. out may be within. A field that the block does not know ends it with an
// UnknownError, unless the members are known without it; out is then undefined. Where the block is a Stopper, its error ends it too.
func (e *Expr) Eval(b Block, within, out *Bits) error {
	return e.eval(b, within, func(s *set) { s.into(out) })
}

// Members returns the members of a block, as Eval does, in a row of their own.
func (e *Expr) Members(b Block) (members Row, err error) {
	err = e.eval(b, nil, func(s *set) { members = s.row() })
	return members, err
}

// Count returns the number of members of a block.
func (e *Expr) Count(b Block) (n int, err error) {
	err = e.eval(b, nil, func(s *set) { n = s.n })
	return n, err
}

func (e *Expr) eval(b Block, within *Bits, take func(*set)) error {
	ev := newEval(b)
	defer ev.release()
	s := ev.begin(within)
	defer ev.giveBack(s)
	if err := ev.node(e.pos, s); err != nil {
		return err
	}
	if err := ev.ground(s); err != nil {
		return err
	}
	take(s)
	return nil
}

// Truth returns what the predicate is of one live ordinal: true, false or unknown. Of an ordinal that is not live it is
// False.
func (e *Expr) Truth(b Block, o uint16) (Tri, error) {
	live, err := rowOf(b, FieldLive)
	if err != nil || !live.Has(o) {
		return False, err
	}
	if yes, err := e.pos.holds(b, o); err != nil || yes {
		return True, err
	}
	if no, err := e.neg.holds(b, o); err != nil || no {
		return False, err
	}
	return Unknown, nil
}

// holds reports whether ordinal o is in the set, by the plainest way: it shares no loop with Eval.
func (n *node) holds(b Block, o uint16) (bool, error) {
	switch n.op {
	case opConst:
		return n.all, nil
	case opRow:
		row, err := rowOf(b, n.field)
		return row.Has(o), err
	case opPresent:
		c, err := columnOf(b, n.field)
		_, ok := c.Rank(o)
		return ok, err
	case opRange:
		c, err := columnOf(b, n.field)
		r, ok := c.Rank(o)
		if err != nil || !ok {
			return false, err
		}
		for i := range n.spans {
			if from, to := n.spans[i].ranks(c); from <= int(r) && int(r) < to {
				return !n.neg, nil
			}
		}
		return n.neg, nil
	case opDiff:
		from, err := columnOf(b, n.field)
		if err != nil {
			return false, err
		}
		to, err := columnOf(b, n.to)
		if err != nil {
			return false, err
		}
		x, ok := from.Num(o)
		y, ok2 := to.Num(o)
		return ok && ok2 && n.cmp.holds(sign(y-x-n.n)), nil
	case opNot:
		yes, err := n.kids[0].holds(b, o)
		return !yes && err == nil, err
	}
	// AND ends at the first false, OR at the first true.
	for _, k := range n.kids {
		yes, err := k.holds(b, o)
		if err != nil || yes == (n.op == opOr) {
			return yes, err
		}
	}
	return n.op == opAnd, nil
}

func rowOf(b Block, f Field) (Row, error) {
	row, ok := b.Row(f)
	if !ok {
		return Row{}, &UnknownError{Field: f}
	}
	return row, nil
}

// columnOf returns a column, nil if it is known to be empty.
func columnOf(b Block, f Field) (*Column, error) {
	c, ok := b.Column(f)
	if !ok {
		return nil, &UnknownError{Field: f}
	}
	if c != nil && c.Present == nil {
		c = nil
	}
	return c, nil
}
