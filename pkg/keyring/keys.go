package keyring

import (
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults of this package. They never change.
const (
	// ReasonKeyUnknown is of a sealed text whose key is not in the ring, or disabled (Internal).
	ReasonKeyUnknown = "KEY_UNKNOWN"
	// ReasonSealBroken is of a text that was not sealed, was damaged, or belongs to other associated data (DataLoss).
	ReasonSealBroken = "SEAL_BROKEN"
	// ReasonBroken is of a key file whose content is wrong (Invalid).
	ReasonBroken = "KEYS_BROKEN"
	// ReasonMissing is of a key file that is not there (NotFound).
	ReasonMissing = "KEYS_MISSING"
	// ReasonUnreadable is of a key file that the system does not let us read (Precondition).
	ReasonUnreadable = "KEYS_UNREADABLE"
	// ReasonUnwritable is of a key file that the system does not let us write (Precondition).
	ReasonUnwritable = "KEYS_UNWRITABLE"
	// ReasonExist is of a key file that would have been overwritten (Exists).
	ReasonExist = "KEYS_EXIST"
	// ReasonBusy is of a key file that is being changed already (Conflict).
	ReasonBusy = "KEYS_BUSY"
	// ReasonForeign is of a key file that cannot be a later state of the one in use (Precondition).
	ReasonForeign = "KEYS_FOREIGN"
	// ReasonKeyNotFound is of a change to a key that is not in its set (NotFound).
	ReasonKeyNotFound = "KEY_NOT_FOUND"
	// ReasonKeyPrimary is of disabling or removing a primary key (Precondition).
	ReasonKeyPrimary = "KEY_IS_PRIMARY"
	// ReasonKeyDisabled is of promoting a disabled key (Precondition).
	ReasonKeyDisabled = "KEY_DISABLED"
	// ReasonKindUnknown is of a kind of key that there is not (Invalid).
	ReasonKindUnknown = "KEY_KIND_UNKNOWN"
)

// Kind is one of the two sets of keys.
type Kind string

// The kinds.
const (
	// Contact keys seal texts.
	Contact Kind = "contact"
	// Index keys hash texts.
	Index Kind = "index"
)

// Kinds returns every kind, in the order of the file.
func Kinds() []Kind { return []Kind{Contact, Index} }

// Status says whether a key may be used.
type Status string

// The statuses. Tink's third one, destroyed, is refused: such a key has no material and is better removed.
const (
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// Key tells of one key what may be told.
type Key struct {
	Kind Kind
	// ID is Tink's id of the key, unique within its kind and never 0.
	ID      uint32
	Status  Status
	Primary bool
}

// Keys is the content of a key file: both sets, with their material. It never changes: what changes keys returns others. The
// zero Keys holds none and is refused by every method with KEYS_BROKEN.
type Keys struct {
	contact, index *keyset.Handle
}

// keyBytes is the size of the keys of both kinds: 256 bits.
const keyBytes = 32

// New makes fresh keys: one of each kind, enabled and primary.
func New() (Keys, error) {
	var k Keys
	for _, kind := range Kinds() {
		m := keyset.NewManager()
		id, err := add(m, kind)
		if err != nil {
			return Keys{}, err
		}
		if err := m.SetPrimary(id); err != nil {
			return Keys{}, fmt.Errorf("promote the first %s key: %w", kind, err)
		}
		h, err := m.Handle()
		if err != nil {
			return Keys{}, fmt.Errorf("make %s keys: %w", kind, err)
		}
		k = k.with(kind, h)
	}
	return k, nil
}

// add makes a key of a kind and returns its id.
func add(m *keyset.Manager, kind Kind) (id uint32, err error) {
	switch kind {
	case Contact:
		p, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
			KeySizeInBytes: keyBytes, IVSizeInBytes: nonceBytes, TagSizeInBytes: tagBytes, Variant: aesgcm.VariantTink,
		})
		if err != nil {
			return 0, fmt.Errorf("describe a %s key: %w", kind, err)
		}
		if id, err = m.AddNewKeyFromParameters(p); err != nil {
			return 0, fmt.Errorf("make a %s key: %w", kind, err)
		}
	case Index:
		p, err := hmacprf.NewParameters(keyBytes, hmacprf.SHA256)
		if err != nil {
			return 0, fmt.Errorf("describe an %s key: %w", kind, err)
		}
		if id, err = m.AddNewKeyFromParameters(p); err != nil {
			return 0, fmt.Errorf("make an %s key: %w", kind, err)
		}
	default:
		return 0, unknownKind(kind)
	}
	if id != 0 {
		return id, nil
	}
	// Once in four thousand million keys. Callers may then take 0 for "no key".
	if err := m.Delete(0); err != nil {
		return 0, fmt.Errorf("drop the %s key with id 0: %w", kind, err)
	}
	return add(m, kind)
}

// List tells of every key, contact keys first, within a kind in the order in which they were added.
func (k Keys) List() []Key {
	var all []Key
	for _, kind := range Kinds() {
		for e := range entries(k.of(kind)) {
			status := Enabled
			if e.KeyStatus() != keyset.Enabled {
				status = Disabled
			}
			all = append(all, Key{Kind: kind, ID: e.KeyID(), Status: status, Primary: e.IsPrimary()})
		}
	}
	return all
}

// Add returns keys with one more of a kind, enabled and not primary, and its id.
func (k Keys) Add(kind Kind) (Keys, uint32, error) {
	var id uint32
	out, err := k.change(kind, func(m *keyset.Manager) (err error) {
		id, err = add(m, kind)
		return err
	})
	return out, id, err
}

// Promote returns keys of which this one is the primary of its kind. A disabled key is a Precondition (KEY_DISABLED).
func (k Keys) Promote(kind Kind, id uint32) (Keys, error) {
	key, err := k.find(kind, id)
	if err != nil {
		return Keys{}, err
	}
	if key.Status != Enabled {
		return Keys{}, of(fault.Newf(fault.Precondition, ReasonKeyDisabled, "%s key %d is disabled; enable it and wait until every process knows it", kind, id), kind, id)
	}
	return k.change(kind, func(m *keyset.Manager) error { return m.SetPrimary(id) })
}

// Enable returns keys of which this one is enabled.
func (k Keys) Enable(kind Kind, id uint32) (Keys, error) {
	if _, err := k.find(kind, id); err != nil {
		return Keys{}, err
	}
	return k.change(kind, func(m *keyset.Manager) error { return m.Enable(id) })
}

// Disable returns keys of which this one is disabled: kept and not used. The primary is refused (KEY_IS_PRIMARY).
func (k Keys) Disable(kind Kind, id uint32) (Keys, error) {
	if err := k.notPrimary(kind, id); err != nil {
		return Keys{}, err
	}
	return k.change(kind, func(m *keyset.Manager) error { return m.Disable(id) })
}

// Remove returns keys without this one. What is sealed with it can then never be opened. The primary is refused (KEY_IS_PRIMARY).
func (k Keys) Remove(kind Kind, id uint32) (Keys, error) {
	if err := k.notPrimary(kind, id); err != nil {
		return Keys{}, err
	}
	return k.change(kind, func(m *keyset.Manager) error { return m.Delete(id) })
}

// find returns what may be told of one key. KEY_KIND_UNKNOWN, KEY_NOT_FOUND.
func (k Keys) find(kind Kind, id uint32) (Key, error) {
	if err := k.check(); err != nil {
		return Key{}, err
	}
	if kind != Contact && kind != Index {
		return Key{}, unknownKind(kind)
	}
	for _, key := range k.List() {
		if key.Kind == kind && key.ID == id {
			return key, nil
		}
	}
	return Key{}, of(fault.Newf(fault.NotFound, ReasonKeyNotFound, "there is no %s key %d; list the keys to see their ids", kind, id), kind, id)
}

func (k Keys) notPrimary(kind Kind, id uint32) error {
	key, err := k.find(kind, id)
	if err == nil && key.Primary {
		err = of(fault.Newf(fault.Precondition, ReasonKeyPrimary, "%s key %d is the primary one; promote another key first", kind, id), kind, id)
	}
	return err
}

// change returns keys of which one set is changed.
func (k Keys) change(kind Kind, by func(*keyset.Manager) error) (Keys, error) {
	if err := k.check(); err != nil {
		return Keys{}, err
	}
	if kind != Contact && kind != Index {
		return Keys{}, unknownKind(kind)
	}
	m := keyset.NewManagerFromHandle(k.of(kind))
	if err := by(m); err != nil {
		return Keys{}, fmt.Errorf("change %s keys: %w", kind, err)
	}
	h, err := m.Handle()
	if err != nil {
		return Keys{}, fmt.Errorf("change %s keys: %w", kind, err)
	}
	return k.with(kind, h), nil
}

func (k Keys) of(kind Kind) *keyset.Handle {
	if kind == Contact {
		return k.contact
	}
	return k.index
}

func (k Keys) with(kind Kind, h *keyset.Handle) Keys {
	if kind == Contact {
		k.contact = h
	} else {
		k.index = h
	}
	return k
}

// String tells how many keys there are and which are primary.
func (k Keys) String() string {
	count, primary := map[Kind]int{}, map[Kind]uint32{}
	for _, key := range k.List() {
		count[key.Kind]++
		if key.Primary {
			primary[key.Kind] = key.ID
		}
	}
	return fmt.Sprintf("keys(%d contact, primary %d; %d index, primary %d)", count[Contact], primary[Contact], count[Index], primary[Index])
}

// Format writes what String returns for every verb, %#v and %x included.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

func unknownKind(kind Kind) error {
	return fault.Newf(fault.Invalid, ReasonKindUnknown, "there is no kind of key %q; say contact or index", string(kind)).With("kind", kind).At("kind")
}

// of adds which key a fault is about.
func of(e *fault.Error, kind Kind, id uint32) *fault.Error {
	return e.With("kind", kind).With("key", id)
}
