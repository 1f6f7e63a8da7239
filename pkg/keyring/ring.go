package keyring

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// The parts of a sealed text: prefix, nonce, text, tag.
const (
	prefixBytes = 5
	nonceBytes  = 12
	tagBytes    = 16
)

// Overhead is by how many bytes a sealed text is longer than the text.
const Overhead = prefixBytes + nonceBytes + tagBytes

// tinkPrefix begins what a Tink key with an id has made; the id follows, big end first.
const tinkPrefix = 0x01

// Hash is a keyed hash: equal for equal texts under one key. It still stands for a person's data: keep it out of logs.
type Hash struct {
	// Key is the id of the index key.
	Key uint32
	// Sum is the first half of HMAC-SHA256.
	Sum [16]byte
}

// Ring seals, opens and hashes with the keys of one [Keys] value. It never changes and may be used by many goroutines at once.
type Ring struct {
	primary uint32
	sealer  tink.AEAD
	openers map[uint32]tink.AEAD
	// disabled are the contact keys that are there and may not be used.
	disabled map[uint32]bool
	// hashers has the primary key first, the others by id.
	hashers []*hasher
}

// Ring returns a ring of the enabled keys.
func (k Keys) Ring() (*Ring, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	r := &Ring{openers: map[uint32]tink.AEAD{}, disabled: map[uint32]bool{}}
	for e := range entries(k.contact) {
		gcm, ok := e.Key().(*aesgcm.Key)
		if !ok || e.KeyStatus() != keyset.Enabled {
			r.disabled[e.KeyID()] = true
			continue
		}
		// The key's own cipher rather than Tink's over the whole set: the set would try keys without a prefix, hide which key
		// is missing, and costs a lookup more.
		opener, err := aesgcm.NewAEAD(gcm)
		if err != nil {
			return nil, fmt.Errorf("use contact key %d: %w", e.KeyID(), err)
		}
		r.openers[e.KeyID()] = opener
		if e.IsPrimary() {
			r.primary, r.sealer = e.KeyID(), opener
		}
	}
	var first *hasher
	for e := range entries(k.index) {
		prf, ok := e.Key().(*hmacprf.Key)
		if !ok || e.KeyStatus() != keyset.Enabled {
			continue
		}
		h := newHasher(e.KeyID(), prf.KeyBytes().Data(insecuresecretdataaccess.Token{}))
		if e.IsPrimary() {
			first = h
		} else {
			r.hashers = append(r.hashers, h)
		}
	}
	if r.sealer == nil || first == nil {
		return nil, broken("", "has a kind without an enabled primary key")
	}
	slices.SortFunc(r.hashers, func(a, b *hasher) int { return cmp.Compare(a.id, b.id) })
	r.hashers = slices.Insert(r.hashers, 0, first)
	return r, nil
}

// PrimaryContact is the id of the key that seals.
func (r *Ring) PrimaryContact() uint32 { return r.primary }

// PrimaryIndex is the id of the key of [Ring.Hash].
func (r *Ring) PrimaryIndex() uint32 { return r.hashers[0].id }

// Seal encrypts a text with the primary contact key. The associated data is not in the result but must be the same when it is
// opened: say there where the text belongs, so that a sealed text that was moved elsewhere does not open. The same text sealed
// twice gives two different results.
func (r *Ring) Seal(plaintext, associated []byte) ([]byte, error) {
	sealed, err := r.sealer.Encrypt(plaintext, associated)
	if err != nil { // a text of more than 64 GiB
		return nil, fmt.Errorf("seal with contact key %d: %w", r.primary, err)
	}
	return sealed, nil
}

// SealedWith returns the id of the key that a sealed text names; ok is false for what [Ring.Seal] cannot have made. The ring
// need not have the key.
func (r *Ring) SealedWith(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < Overhead || sealed[0] != tinkPrefix {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:prefixBytes]), true
}

// Open returns the text that was sealed, or a fault: Internal (KEY_UNKNOWN), naming the key, where the ring has it not or not
// enabled, DataLoss (SEAL_BROKEN) where the text is damaged, was never sealed, or was sealed with other associated data.
func (r *Ring) Open(sealed, associated []byte) ([]byte, error) {
	id, ok := r.SealedWith(sealed)
	if !ok {
		return nil, fault.New(fault.DataLoss, ReasonSealBroken, "stored contact data is not in its sealed form; restore it from a backup")
	}
	opener, known := r.openers[id]
	if !known {
		next := "restore it in the key file from a backup"
		if r.disabled[id] {
			next = "it is disabled; enable it until nothing is sealed with it"
		}
		return nil, of(fault.Newf(fault.Internal, ReasonKeyUnknown, "contact key %d is not in use here: %s", id, next), Contact, id)
	}
	plain, err := opener.Decrypt(sealed, associated)
	if err != nil {
		return nil, of(fault.Newf(fault.DataLoss, ReasonSealBroken,
			"contact data sealed with key %d is damaged, or is not where it was sealed for; restore it from a backup", id), Contact, id)
	}
	return plain, nil
}

// Hash returns the hash of a text under the primary index key. Whatever tells texts of different kinds apart must be in data.
func (r *Ring) Hash(data []byte) Hash { return r.hashers[0].hash(data) }

// Hashes returns the hash under every enabled index key, the primary first, the others by id: what to look for while texts are
// stored under several keys.
func (r *Ring) Hashes(data []byte) []Hash {
	all := make([]Hash, len(r.hashers))
	for i, h := range r.hashers {
		all[i] = h.hash(data)
	}
	return all
}

// String tells which keys are primary.
func (r *Ring) String() string {
	if r == nil {
		return "ring(none)"
	}
	return fmt.Sprintf("ring(contact key %d of %d, index key %d of %d)", r.primary, len(r.openers), r.PrimaryIndex(), len(r.hashers))
}

// Format writes what String returns for every verb, %#v and %x included.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// hasher is one index key. Tink's own PRF sets up HMAC anew for each text, which costs five times as much as hashing with one
// that is kept: the standard library's remembers the state after the key. The result is the same.
type hasher struct {
	id   uint32
	macs sync.Pool // of *mac
}

type mac struct {
	hash.Hash
	sum [sha256.Size]byte
}

func newHasher(id uint32, key []byte) *hasher {
	return &hasher{id: id, macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

func (h *hasher) hash(data []byte) Hash {
	m, _ := h.macs.Get().(*mac) // the pool holds nothing else
	m.Reset()
	_, _ = m.Write(data) // a hash never fails to take bytes
	full := m.Sum(m.sum[:0])
	out := Hash{Key: h.id, Sum: [16]byte(full)}
	h.macs.Put(m)
	return out
}
