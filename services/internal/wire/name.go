package wire

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

const (
	profilePrefix   = "profiles/"
	eventInfix      = "/events/"
	attributePrefix = "attributes/"
)

// ProfileName returns the resource name of a profile, "profiles/{uid}".
func ProfileName(uid audience.UID) string {
	var name [len(profilePrefix) + 36]byte
	copy(name[:], profilePrefix)
	formatUID(name[len(profilePrefix):], uid)
	return string(name[:])
}

// ParseProfileName is the inverse of ProfileName; false if the name is not one.
func ParseProfileName(name string) (audience.UID, bool) {
	text, ok := strings.CutPrefix(name, profilePrefix)
	if !ok {
		return audience.UID{}, false
	}
	return ParseUID(text)
}

// EventName returns the resource name of an event, "profiles/{uid}/events/{event}".
func EventName(uid audience.UID, id string) string { return ProfileName(uid) + eventInfix + id }

// ParseEventName is the inverse of EventName; false if the name is not one. Whether there can be such an id is not checked, but that
// it is not empty.
func ParseEventName(name string) (uid audience.UID, id string, ok bool) {
	owner, id, _ := strings.Cut(name, eventInfix)
	uid, ok = ParseProfileName(owner)
	if !ok || id == "" {
		return audience.UID{}, "", false
	}
	return uid, id, true
}

// FormatUID returns a uid in the text form of a UUID, lower-case.
func FormatUID(uid audience.UID) string {
	var text [36]byte
	formatUID(text[:], uid)
	return string(text[:])
}

func formatUID(to []byte, uid audience.UID) {
	hex.Encode(to[0:8], uid[0:4])
	hex.Encode(to[9:13], uid[4:6])
	hex.Encode(to[14:18], uid[6:8])
	hex.Encode(to[19:23], uid[8:10])
	hex.Encode(to[24:36], uid[10:16])
	to[8], to[13], to[18], to[23] = '-', '-', '-', '-'
}

// ParseUID reads the text form of a UUID as FormatUID writes it, and no other one: a uid has one name.
func ParseUID(text string) (audience.UID, bool) {
	var uid audience.UID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return uid, false
	}
	for i, at := range uidAt {
		high, low := nibble(text[at]), nibble(text[at+1])
		if high > 15 || low > 15 {
			return audience.UID{}, false
		}
		uid[i] = high<<4 | low
	}
	return uid, true
}

// uidAt says where in a uid's text each byte stands.
var uidAt = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// AttributeName returns the resource name of a custom attribute, "attributes/{attribute}".
func AttributeName(id string) string { return attributePrefix + id }

// AttributeID is the inverse of AttributeName; false if the name is not one.
func AttributeID(name string) (string, bool) {
	id, ok := strings.CutPrefix(name, attributePrefix)
	return id, ok && id != ""
}

// Text returns a text as it is kept: in Unicode form NFC.
func Text(text string) string { return audience.NormalizeText(text) }

// Texts returns texts as a list is kept: each in NFC, sorted by code point, each once. Never nil: a list that is there and
// empty is not an absent one.
func Texts(texts []string) []string {
	kept := make([]string, len(texts))
	for i, text := range texts {
		kept[i] = audience.NormalizeText(text)
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}
