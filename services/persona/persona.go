package persona

import (
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Prefixes of resource names.
const (
	Prefix        = "personas/"
	SegmentPrefix = "segments/"
)

// MaxID is the length of the longest id: its segment's id, "persona-<id>" with one letter to spare, is at most 63 characters.
const MaxID = 53

// Kinds of personas: whom one represents in a purchase. They are also the roles of profiles.
const (
	KindConsumer   = "consumer"
	KindBuyer      = "buyer"
	KindPrescriber = "prescriber"
)

// Kinds in the order of the contract.
var Kinds = []string{KindConsumer, KindBuyer, KindPrescriber}

// Persona is a fictional, evidence-based representative of a segment.
type Persona struct {
	// Name is "personas/{persona}".
	Name string
	// UID is an id that no other persona ever has (a UUID).
	UID         string
	DisplayName string
	// Kind is one of Kinds.
	Kind      string
	Headline  string
	Narrative string
	// Goals and Frustrations are what it wants to reach, and what stands in the way.
	Goals        []string
	Frustrations []string
	// SourceSegment is the segment that it was made from, or "".
	SourceSegment string
	// Rule is the rule of its own segment, Segment that segment's name.
	Rule    string
	Segment string
	// Evidence is nil for a persona made by hand.
	Evidence *Evidence
	// Etag changes with every change; quoted.
	Etag                   string
	CreateTime, UpdateTime time.Time
}

// Evidence is what a persona rests on: the statistics of its source segment when it was generated. Shares are 0 to 1.
type Evidence struct {
	// SampleSize counts the segment's profiles, BaseSize all.
	SampleSize int64 `json:"sample_size"`
	BaseSize   int64 `json:"base_size"`
	// Traits are the typical values, the most frequent of each attribute first.
	Traits []Trait `json:"traits,omitempty"`
	// MedianAge is in years, of those whose age is known; 0: nobody's is.
	MedianAge int64 `json:"median_age,omitempty"`
	// AsOfToken is the consistency token of the state that the statistics were made from, at GenerateTime.
	AsOfToken    string    `json:"as_of_token,omitempty"`
	GenerateTime time.Time `json:"generate_time"`
}

// Trait is a typical value of one attribute.
type Trait struct {
	// Attribute as rules name it, or "age"; Value, or a band such as "25-34".
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	// Share of the segment with the value, among those with any; BaseShare is that of everybody, Lift their ratio.
	Share     float64 `json:"share"`
	BaseShare float64 `json:"base_share"`
	Lift      float64 `json:"lift"`
	// Count of the segment's profiles with the value.
	Count int64 `json:"count"`
}

// SegmentID returns the id of the segment that a persona owns, by the persona's name or id.
func SegmentID(name string) string { return "persona-" + strings.TrimPrefix(name, Prefix) }

// Check returns every violation of what a caller can set, under the field's path relative to the persona, as an Invalid fault; nil if
// there is none. Whether the rule is one, the segment service says.
func (p Persona) Check() error {
	var v fault.Violations
	if p.Kind != "" && !slices.Contains(Kinds, p.Kind) {
		v.Add("kind", ReasonValidation, "a kind is one of "+strings.Join(Kinds, ", "))
	}
	if strings.TrimSpace(p.Rule) == "" {
		v.Add("rule", ReasonRuleRequired, "a persona needs a rule that says whom it stands for, such as job_level >= \"director\"; or generate it from a segment")
	}
	return v.Err()
}
