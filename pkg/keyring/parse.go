package keyring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// version is that of the file format.
const version = 1

// maxFile is far above what any number of keys that makes sense takes; a key takes about 300 bytes.
const maxFile = 1 << 20

// Parse reads the content of a key file: a JSON object with the fields version (1), contact and index, the latter two Tink
// keysets in Tink's JSON, in the clear. Only keys as this package makes them are taken: AES-256-GCM with Tink's prefix, and
// HMAC-SHA256 PRF keys of 32 bytes, enabled or disabled, with ids that are not 0. Everything else is Invalid (KEYS_BROKEN) at
// the field that is wrong.
//
// The causes that the JSON and Tink libraries give are dropped: they may quote the file.
func Parse(raw []byte) (Keys, error) {
	parts, err := sections(raw)
	if err != nil {
		return Keys{}, err
	}
	var k Keys
	for _, kind := range Kinds() {
		part, given := parts[string(kind)]
		if !given {
			return Keys{}, broken(string(kind), "is missing")
		}
		h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(part)))
		if err != nil {
			return Keys{}, broken(string(kind), "is not a valid Tink keyset with an enabled primary key")
		}
		k = k.with(kind, h)
	}
	return k, k.check()
}

// sections splits the file into its fields. None may be unknown or given twice: which one counts must not be a guess.
func sections(raw []byte) (map[string]json.RawMessage, error) {
	if len(raw) > maxFile {
		return nil, broken("", "is larger than "+strconv.Itoa(maxFile)+" bytes")
	}
	if !json.Valid(raw) {
		return nil, broken("", "is not JSON")
	}
	// Past this point the syntax is right, so that the decoder only fails where the value is no object.
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, broken("", "is not a JSON object")
	}
	parts := map[string]json.RawMessage{}
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, broken("", "is not a JSON object")
		}
		switch name {
		case "version", string(Contact), string(Index):
		default:
			return nil, broken("", "has a field besides version, contact and index")
		}
		if _, twice := parts[name]; twice {
			return nil, broken(name, "is given twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, broken(name, "is not JSON")
		}
		parts[name] = value
	}
	var v int
	if err := json.Unmarshal(parts["version"], &v); err != nil || v < 1 {
		return nil, broken("version", "is not a version")
	}
	if v > version {
		return nil, broken("version", "is of a newer program, which must be used with this file")
	}
	return parts, nil
}

// check refuses sets that this package could not have made.
func (k Keys) check() error {
	for _, kind := range Kinds() {
		h := k.of(kind)
		if h.Len() == 0 {
			return broken(string(kind), "holds no key")
		}
		i := 0
		for e := range entries(h) {
			field := fmt.Sprintf("%s.key[%d]", kind, i)
			switch {
			case e.KeyID() == 0:
				return broken(field, "has the id 0")
			case e.KeyStatus() != keyset.Enabled && e.KeyStatus() != keyset.Disabled:
				return broken(field, "is neither enabled nor disabled")
			case kind == Contact && !seals(e.Key()):
				return broken(field, "is not an AES-256-GCM key with Tink's prefix")
			case kind == Index && !hashes(e.Key()):
				return broken(field, "is not an HMAC-SHA256 PRF key of 32 bytes")
			}
			i++
		}
	}
	return nil
}

func seals(k key.Key) bool {
	gcm, ok := k.(*aesgcm.Key)
	if !ok {
		return false
	}
	p, ok := gcm.Parameters().(*aesgcm.Parameters)
	return ok && p.KeySizeInBytes() == keyBytes && p.IVSizeInBytes() == nonceBytes && p.TagSizeInBytes() == tagBytes && p.Variant() == aesgcm.VariantTink
}

func hashes(k key.Key) bool {
	mac, ok := k.(*hmacprf.Key)
	if !ok {
		return false
	}
	p, ok := mac.Parameters().(*hmacprf.Parameters)
	return ok && p.KeySizeInBytes() == keyBytes && p.HashType() == hmacprf.SHA256
}

// Marshal writes the keys as [Parse] reads them. The result is as secret as the keys.
func (k Keys) Marshal() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	parts := map[Kind]json.RawMessage{}
	for _, kind := range Kinds() {
		var out bytes.Buffer
		if err := insecurecleartextkeyset.Write(k.of(kind), keyset.NewJSONWriter(&out)); err != nil {
			return nil, fmt.Errorf("write %s keys: %w", kind, err)
		}
		parts[kind] = out.Bytes()
	}
	// Indenting also evens out the spaces, which protobuf's JSON varies on purpose.
	raw, err := json.MarshalIndent(struct {
		Version int             `json:"version"`
		Contact json.RawMessage `json:"contact"`
		Index   json.RawMessage `json:"index"`
	}{version, parts[Contact], parts[Index]}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write keys: %w", err)
	}
	return append(raw, '\n'), nil
}

// entries are the keys of a set in its order.
func entries(h *keyset.Handle) iter.Seq[*keyset.Entry] {
	return func(yield func(*keyset.Entry) bool) {
		for i := range h.Len() {
			if e, err := h.Entry(i); err != nil || !yield(e) { // an index below Len has no error
				return
			}
		}
	}
}

// broken is a fault of the file's content. What it says is made of constants and positions, never of the content.
func broken(field, what string) error {
	subject := "it"
	if field != "" {
		subject = field
	}
	f := fault.New(fault.Invalid, ReasonBroken, "the key file is broken: "+subject+" "+what+"; restore it from its backup, and change it with the keys commands only")
	f.Violations = []fault.Violation{{Field: field, Description: what, Reason: ReasonBroken}}
	return f
}
