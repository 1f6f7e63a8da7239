package merging

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
)

// version is the first byte of stored provenance and of stored merges.
const version = 1

var errMalformed = errors.New("the stored provenance is malformed")

// Encode appends the stored form of p's provenance to b; nothing where nothing is known. Equal provenance of equal profiles has
// equal bytes. They hold no contact data: an identifier is told by its place in the profile.
//
// Form: a version byte; the time and source of most parts; then for each other origin its time as a difference, its source, the
// number of its parts and these. A part is its number, doubled, and one more if a key follows: its length and the key. Times are
// microseconds; numbers are varints.
func (v Provenance) Encode(b []byte, p *profile.Profile) []byte {
	if v.IsZero() {
		return b
	}
	w := writer{b: append(b, version)}
	base := v.base.Time.UnixMicro()
	w.int(base)
	w.string(v.base.Source)
	byOrigin := make(map[Origin][]storedPart)
	for part, origin := range v.parts {
		if s, ok := stored(p, part); ok {
			byOrigin[origin] = append(byOrigin[origin], s)
		}
	}
	for _, origin := range slices.SortedFunc(maps.Keys(byOrigin), Origin.compare) {
		parts := byOrigin[origin]
		slices.SortFunc(parts, func(a, b storedPart) int {
			return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.key, b.key))
		})
		w.int(origin.Time.UnixMicro() - base)
		w.string(origin.Source)
		w.uint(uint64(len(parts)))
		for _, part := range parts {
			if part.number < numberConsent {
				w.uint(part.number << 1)
				continue
			}
			w.uint(part.number<<1 | 1)
			w.string(part.key)
		}
	}
	return w.b
}

// storedPart is a part as it is stored: its number, and its key if it is no field.
type storedPart struct {
	number uint64
	key    string
}

func stored(p *profile.Profile, part Part) (storedPart, bool) {
	switch part.Path {
	case pathConsents:
		w := writer{}
		w.string(part.Purpose)
		w.string(part.Channel)
		return storedPart{numberConsent, string(w.b)}, true
	case pathIdentifiers:
		at := slices.Index(p.Identifiers, part.Identifier)
		return storedPart{numberIdentifier, string(binary.AppendUvarint(nil, uint64(max(at, 0))))}, at >= 0
	}
	if f := byPath[part.Path]; f != nil {
		return storedPart{number: f.number}, true
	}
	return storedPart{numberCustom, strings.TrimPrefix(part.Path, prefixCustom)}, true
}

// Decode reads what Encode has written for the profile. No bytes are the zero Provenance. Parts that a newer program knows, or
// that the profile does not have, are skipped. The error of bytes that are none has no details of them.
func Decode(b []byte, p *profile.Profile) (Provenance, error) {
	if len(b) == 0 {
		return Provenance{}, nil
	}
	if b[0] != version {
		return Provenance{}, errMalformed
	}
	r := reader{b: b[1:]}
	micros := r.int()
	base := Origin{Time: time.UnixMicro(micros).UTC(), Source: r.string()}
	exceptions := make(map[Part]Origin)
	for len(r.b) > 0 && !r.bad {
		origin := Origin{Time: time.UnixMicro(micros + r.int()).UTC(), Source: r.string()}
		for n := r.uint(); n > 0 && !r.bad; n-- {
			if part, ok := r.part(p); ok {
				exceptions[part] = origin
			}
		}
	}
	if r.bad {
		return Provenance{}, errMalformed
	}
	parts := Parts(p)
	origins := make([]Origin, len(parts))
	for i, part := range parts {
		origins[i] = base
		if o, ok := exceptions[part]; ok {
			origins[i] = o
		}
	}
	return provenance(parts, origins), nil
}

// Settled returns the stored form of provenance that means the same once the profile's time of update has moved from before to after, both in
// microseconds, by something of which provenance does not know: what is computed.
func Settled(b []byte, before, after int64) []byte {
	if len(b) > 0 || before == after {
		return b
	}
	w := writer{b: []byte{version}}
	w.int(before)
	w.string("")
	return w.b
}

var byNumber = func() map[uint64]*field {
	m := make(map[uint64]*field, len(fields))
	for i := range fields {
		m[fields[i].number] = &fields[i]
	}
	return m
}()

// part reads one part; false: it means nothing for the profile.
func (r *reader) part(p *profile.Profile) (Part, bool) {
	number := r.uint()
	key := reader{}
	if number&1 != 0 {
		key.b = []byte(r.string())
	}
	switch number >>= 1; number {
	case numberConsent:
		part := Part{Path: pathConsents, Purpose: key.string(), Channel: key.string()}
		return part, !key.bad
	case numberIdentifier:
		at := key.uint()
		if key.bad || at >= uint64(len(p.Identifiers)) {
			return Part{}, false
		}
		return identifierPart(p.Identifiers[at]), true
	case numberCustom:
		return customPart(string(key.b)), true
	}
	f := byNumber[number]
	if f == nil {
		return Part{}, false
	}
	return f.part(), true
}

type writer struct{ b []byte }

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) int(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *writer) string(text string) {
	w.uint(uint64(len(text)))
	w.b = append(w.b, text...)
}

// reader reads what a writer wrote; once something is missing it is bad and everything else is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) string() string { return string(r.bytes(r.uint())) }

func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
