package truth_test

import (
	"slices"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/revision"
)

// state is what a profile was from some revision on, until its next state.
type state struct {
	who *who // nil: there was no such profile
	// The state began at a revision above after and at or below by: a write's token is of the commit that it shared with others, and
	// the write before it, of the same profile, was at or below its own token.
	after, by int64
	// out tells that all consents were withdrawn with this state, for good.
	out bool
}

// history is every state of every profile. Each profile is written by one goroutine alone.
type history struct {
	mu     sync.Mutex
	states map[audience.UID][]*state
	newest string // token of the last write that was answered
}

// revisionOf returns the revision of the profile store in a token.
func revisionOf(token string) (profiles, definitions int64, err error) {
	t, err := revision.Parse(token)
	return t.Profile.Revision, t.Segment.Revision, err
}

// wrote notes what a write made of a profile.
func (h *history) wrote(uid audience.UID, is *who, out bool, token string) error {
	by, _, err := revisionOf(token)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.states[uid]
	if list == nil {
		list = append(list, &state{})
	}
	h.states[uid] = append(list, &state{who: is, after: list[len(list)-1].by, by: by, out: out})
	h.newest = token
	return nil
}

func (h *history) token() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

// saw narrows down when a state began, by a change that the profile service's own stream told of. False: no write can have
// made that change.
func (h *history) saw(uid audience.UID, at int64) bool {
	for _, s := range h.states[uid] {
		if s.after < at && at <= s.by {
			s.after, s.by = at-1, at
			return true
		}
	}
	return false
}

// during returns the states that a profile can have had at a revision from lo to hi, both included.
func (h *history) during(uid audience.UID, lo, hi int64) []*state {
	list := h.states[uid]
	var can []*state
	for i, s := range list {
		if s.after < hi && (i == len(list)-1 || list[i+1].by > lo) {
			can = append(can, s)
		}
	}
	return can
}

// edit is a version of a segment's rule.
type edit struct {
	rule audience.Pred
	// version counts the segment's versions, revision is that of the definitions, began is when the edit was asked for.
	version, revision int64
	began             time.Time
}

// edits are the versions of one segment.
type edits struct {
	mu   sync.Mutex
	list []edit
}

func (e *edits) add(one edit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, one)
}

// during returns the versions that an answer can have used that began at a definition revision and ended at a moment.
func (e *edits) during(revision int64, end time.Time) (can []edit) {
	for i, v := range e.list {
		if v.began.Before(end) && (i == len(e.list)-1 || e.list[i+1].revision > revision) {
			can = append(can, v)
		}
	}
	return can
}

func (e *edits) version(n int64) (edit, bool) {
	i := slices.IndexFunc(e.list, func(v edit) bool { return v.version == n })
	if i < 0 {
		return edit{}, false
	}
	return e.list[i], true
}
