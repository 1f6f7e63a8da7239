package doctor

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// What is looked at.
const (
	CheckBlocks   = "index.blocks"   // every block can be read and passes its checks
	CheckMembers  = "index.members"  // every profile is in the index once, and nobody else is
	CheckFacts    = "index.facts"    // rows and columns say of each profile what the store says
	CheckCounts   = "index.counts"   // counts that the services give are those of the store
	CheckSegments = "index.segments" // a segment has those of whom its rule holds
)

// Result is what came of one check.
type Result struct {
	Check string
	// Count is how many differences there are, Examples the first of them.
	Count    int64
	Examples []string
	// Note says how much was looked at, or, with Failed, why nothing could be.
	Note   string
	Failed bool
}

// report collects differences.
type report struct {
	results []*Result
	most    int
}

func newReport(most int, checks ...string) *report {
	r := &report{most: most}
	for _, c := range checks {
		r.results = append(r.results, &Result{Check: c})
	}
	return r
}

func (r *report) at(check string) *Result {
	i := slices.IndexFunc(r.results, func(one *Result) bool { return one.Check == check })
	return r.results[i]
}

func (r *report) differs(check, format string, args ...any) {
	one := r.at(check)
	if one.Count++; len(one.Examples) < r.most {
		one.Examples = append(one.Examples, fmt.Sprintf(format, args...))
	}
}

// fail says that the checks that found nothing could not be made.
func (r *report) fail(err error) []Result {
	for _, one := range r.results {
		if one.Count == 0 {
			one.Failed, one.Note = true, err.Error()
		}
	}
	return r.list()
}

func (r *report) list() []Result {
	list := make([]Result, len(r.results))
	for i, one := range r.results {
		list[i] = *one
	}
	return list
}

func name(uid audience.UID) string { return wire.ProfileName(uid) }

func ascending(uids []audience.UID) {
	slices.SortFunc(uids, func(a, b audience.UID) int { return bytes.Compare(a[:], b[:]) })
}
