package profile

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// UIDs makes uids that ascend: UUIDv7 (RFC 9562) with the milliseconds of now and a counter of 12 bits within them. Should the
// clock go back, or more than 4,096 be made in a millisecond, it counts on from the last one. Safe for concurrent use.
type UIDs struct {
	now    func() time.Time
	random io.Reader

	mu   sync.Mutex
	last uint64 // milliseconds and counter of the last uid
}

// NewUIDs returns a maker of uids; random must be cryptographically strong, so that a uid cannot be guessed.
func NewUIDs(now func() time.Time, random io.Reader) *UIDs {
	return &UIDs{now: now, random: random}
}

// Next returns n uids, ascending and above all before. An error is that of the source of random numbers.
func (u *UIDs) Next(n int) ([]audience.UID, error) {
	tails := make([]byte, 8*n)
	if _, err := io.ReadFull(u.random, tails); err != nil {
		return nil, fmt.Errorf("make uids: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	uids := make([]audience.UID, n)
	for i := range uids {
		u.last = max(u.last+1, uint64(max(u.now().UnixMilli(), 0))<<12)
		id := &uids[i]
		millis := u.last >> 12
		for b := range 6 {
			id[b] = byte(millis >> (40 - 8*b))
		}
		id[6] = 0x70 | byte(u.last>>8)&0x0f
		id[7] = byte(u.last)
		copy(id[8:], tails[8*i:])
		id[8] = 0x80 | id[8]&0x3f
	}
	return uids, nil
}

// Name returns the resource name of a profile.
func Name(uid audience.UID) string {
	return fmt.Sprintf("profiles/%x-%x-%x-%x-%x", uid[0:4], uid[4:6], uid[6:8], uid[8:10], uid[10:16])
}
