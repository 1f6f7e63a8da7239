package revision

import (
	"bytes"
	"encoding/base64"

	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	tokenv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/token/v1"
)

// Reasons of faults of this package.
const (
	ReasonInvalid      = "TOKEN_INVALID"
	ReasonAnotherStore = "TOKEN_OF_ANOTHER_STORE"
)

const version = 1

// Part is a position in one store: a revision of one life (incarnation) of it. The zero Part is absent.
type Part struct {
	Incarnation string
	Revision    int64
	// Mark is the random value stored with the revision's commit; empty where it is not known.
	Mark []byte
}

// Present tells whether the part says anything.
func (p Part) Present() bool { return p.Incarnation != "" }

// Token is what a consistency token says.
type Token struct {
	// Store is the installation.
	Store string
	// Profile is a position in the profile store, Segment one in the segment store's definitions.
	Profile, Segment Part
}

// String is the opaque form; "" for a token that says nothing.
func (t Token) String() string {
	if t.Store == "" || !t.Profile.Present() && !t.Segment.Present() {
		return ""
	}
	// A message of scalars with valid UTF-8 always marshals; Parse and the stores let nothing else in.
	raw, _ := proto.Marshal(&tokenv1.ConsistencyToken{
		Version: version, Store: t.Store,
		ProfileIncarnation: t.Profile.Incarnation, Revision: t.Profile.Revision, Mark: t.Profile.Mark,
		SegmentIncarnation: t.Segment.Incarnation, DefinitionRevision: t.Segment.Revision, DefinitionMark: t.Segment.Mark,
	})
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Parse reads the opaque form. The empty text is the token that says nothing. Anything that String did not make is an
// Invalid fault.
func Parse(s string) (Token, error) {
	if s == "" {
		return Token{}, nil
	}
	var m tokenv1.ConsistencyToken
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || proto.Unmarshal(raw, &m) != nil || m.GetVersion() != version || m.GetStore() == "" ||
		m.GetRevision() < 0 || m.GetDefinitionRevision() < 0 {
		return Token{}, fault.New(fault.Invalid, ReasonInvalid, "this is not a consistency token; pass one on as it was received")
	}
	t := Token{
		Store:   m.GetStore(),
		Profile: Part{Incarnation: m.GetProfileIncarnation(), Revision: m.GetRevision(), Mark: m.GetMark()},
		Segment: Part{Incarnation: m.GetSegmentIncarnation(), Revision: m.GetDefinitionRevision(), Mark: m.GetDefinitionMark()},
	}
	if !t.Profile.Present() && !t.Segment.Present() {
		return Token{}, fault.New(fault.Invalid, ReasonInvalid, "this consistency token says nothing; pass one on as it was received")
	}
	return t, nil
}

// Merge is the token that is reached when both are: the maximum of each part. Tokens of different stores or lives do not
// merge: that is a Precondition fault.
func Merge(a, b Token) (Token, error) {
	switch {
	case a.Store == "":
		return b, nil
	case b.Store == "":
		return a, nil
	case a.Store != b.Store:
		return Token{}, errAnother()
	}
	profile, err := later(a.Profile, b.Profile)
	if err != nil {
		return Token{}, err
	}
	segment, err := later(a.Segment, b.Segment)
	if err != nil {
		return Token{}, err
	}
	return Token{Store: a.Store, Profile: profile, Segment: segment}, nil
}

func later(a, b Part) (Part, error) {
	switch {
	case !a.Present():
		return b, nil
	case !b.Present():
		return a, nil
	case a.Incarnation != b.Incarnation,
		a.Revision == b.Revision && len(a.Mark) > 0 && len(b.Mark) > 0 && !bytes.Equal(a.Mark, b.Mark):
		return Part{}, errAnother()
	case b.Revision > a.Revision || b.Revision == a.Revision && len(a.Mark) == 0:
		return b, nil
	default:
		return a, nil
	}
}

// Belongs checks that the token is of the store and of the lives that the caller knows; an absent part, and a life that the
// caller does not know yet (""), pass.
func (t Token) Belongs(store, profileIncarnation, segmentIncarnation string) error {
	other := func(part Part, incarnation string) bool {
		return part.Present() && incarnation != "" && part.Incarnation != incarnation
	}
	if t.Store != "" && store != "" && t.Store != store || other(t.Profile, profileIncarnation) || other(t.Segment, segmentIncarnation) {
		return errAnother()
	}
	return nil
}

func errAnother() error {
	return fault.New(fault.Precondition, ReasonAnotherStore,
		"the consistency token is of another store, or of this one before it was restored; drop it and read what was written again")
}
