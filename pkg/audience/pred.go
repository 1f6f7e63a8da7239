package audience

// Op is a comparison operator.
type Op uint8

// The comparison operators.
const (
	OpEQ Op = iota + 1
	OpNE
	OpLT
	OpLE
	OpGT
	OpGE
)

// Pred is a question about one profile, as it was asked: the tree that rules (package rule) and audience specs become
// before they are compiled. Its meaning is Kleene's three-valued logic over Facts: a comparison on a missing value is
// unknown, and only true is a member. The set of implementations is closed.
type Pred interface{ isPred() }

// Predicates. Literals are already checked against the schema and in the form of Value.
type (
	// And is true if all are true, false if one is false, else unknown. No operands: true.
	And []Pred
	// Or is true if one is true, false if all are false, else unknown. No operands: false.
	Or []Pred
	// Not swaps true and false and leaves unknown.
	Not struct{ X Pred }
	// Const is true or false of everybody.
	Const bool
	// Compare compares a single-valued attribute with a literal. On a Money attribute a value in another currency than
	// the literal's is unknown.
	Compare struct {
		Attr  string
		Op    Op
		Value Value
	}
	// In is true if a single-valued attribute equals one of the literals.
	In struct {
		Attr   string
		Values []Value
	}
	// Contains is true if a TextList attribute holds any (All false) or all (All true) of the texts.
	Contains struct {
		Attr  string
		Texts []string
		All   bool
	}
	// Within is true if a Region attribute is one of the codes or lies inside one.
	Within struct {
		Attr  string
		Codes []string
	}
	// Prefix is true if a Text attribute begins with the text.
	Prefix struct {
		Attr string
		Text string
	}
	// Age compares the age in whole years on the day of the question with a number of years. It is unknown where the
	// bound falls inside the interval of possible birth dates.
	Age struct {
		Attr  string // a Birth or Date attribute
		Op    Op
		Years int64
	}
	// Days compares the number of days from one date to another (To minus From).
	Days struct {
		From, To DateRef
		Op       Op
		N        int64
	}
	// Has is true if the attribute has a value (an empty list is one), else false; never unknown.
	Has struct{ Attr string }
	// Consent is true if consent for the purpose over the channel ("" = not tied to one) holds on the day of the
	// question, false if it was denied, withdrawn or has expired, unknown if nothing is recorded. Where nothing is recorded
	// for the channel itself, the purpose's general consent counts.
	Consent struct{ Purpose, Channel string }
	// Member is true of the members of a segment, else false; never unknown.
	Member struct {
		// Segment is the segment's uid, as the definitions name it.
		Segment string
	}
)

// DateRef is one end of a Days predicate: an attribute of Kind Date (Attr), the day of the question (Today), or a fixed
// day.
type DateRef struct {
	Attr  string
	Today bool
	Day   int64
}

func (And) isPred()      {}
func (Or) isPred()       {}
func (Not) isPred()      {}
func (Const) isPred()    {}
func (Compare) isPred()  {}
func (In) isPred()       {}
func (Contains) isPred() {}
func (Within) isPred()   {}
func (Prefix) isPred()   {}
func (Age) isPred()      {}
func (Days) isPred()     {}
func (Has) isPred()      {}
func (Consent) isPred()  {}
func (Member) isPred()   {}
