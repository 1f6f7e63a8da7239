package identity

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Kinds of identifiers.
const (
	// ExternalID is the id of a person in another system, which is unique there.
	ExternalID = "external_id"
	// Email is an e-mail address.
	Email = "email"
	// Phone is a phone number.
	Phone = "phone"
	// MobileAdID is the advertising id of a phone: Apple's IDFA or Google's GAID.
	MobileAdID = "mobile_ad_id"
	// Cookie is the id in a cookie.
	Cookie = "cookie"
	// DeviceID is an id of a device other than its advertising id.
	DeviceID = "device_id"
	// UID2Token is a raw UID2 or a UID2 advertising token.
	UID2Token = "uid2"
)

// Kinds are all kinds of identifiers.
var Kinds = []string{ExternalID, Email, Phone, MobileAdID, Cookie, DeviceID, UID2Token}

// Reasons of the faults of this package.
const (
	// ReasonInvalid is that a value is no identifier of its kind, or the kind is none.
	ReasonInvalid = "INVALID_IDENTIFIER"
	// ReasonBlocked is that an identifier is nobody's. Metadata: kind, rule.
	ReasonBlocked = "IDENTIFIER_BLOCKED"
	// ReasonLimit is that a person has too many identifiers of a kind. Metadata: kind, limit, count.
	ReasonLimit = "TOO_MANY_IDENTIFIERS"
	// ReasonNotTaken is that a destination does not take this kind of identifier, or this field.
	ReasonNotTaken = "NOT_TAKEN_BY_DESTINATION"
	// ReasonDestination is that there is no such destination.
	ReasonDestination = "INVALID_DESTINATION"
	// ReasonField is that a value is not what a field of a person holds, or the field is none.
	ReasonField = "INVALID_FIELD"
	// ReasonBlock is that an addition to a guard is not well formed.
	ReasonBlock = "INVALID_BLOCK"
)

// Options are what must be known beside a value.
type Options struct {
	// Region is the country that a phone number without country code, or a postal code, belongs to: an ISO 3166-1 alpha-2
	// code. Empty means that nobody knows.
	Region string
	// Possible takes phone numbers that are written as their country's are, of whatever range. Otherwise a number must be of a range
	// that was given out when the numbering plans were read: those kept for fiction never are, and new ones not yet.
	Possible bool
}

// Longest identifiers, in characters of an opaque one and in bytes behind the base64 of a UID2. The shortest raw UID2 is a
// digest of 32 bytes; newer ones add a byte in front, and advertising tokens are some hundred bytes long.
const (
	maxOpaque = 500
	minUID2   = 32
	maxUID2   = 1024
)

// What Normalize answers to a value that has no normal form. None holds a value, so all are shared.
var (
	errKind = fault.InvalidField(ReasonInvalid, "kind",
		"there is no such kind of identifier; use external_id, email, phone, mobile_ad_id, cookie, device_id or uid2")
	errEmpty      = invalid("an identifier is empty or of spaces alone; leave it out")
	errUTF8       = invalid("an identifier is not valid UTF-8; convert it from its character set")
	errControl    = invalid("an identifier holds a control character or line break; remove it")
	errLong       = invalid("an identifier has more than 500 characters; shorten it where it is made")
	errMobileAdID = invalid("a mobile advertising id is a UUID; give 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without")
	errUID2       = invalid("a UID2 is base64 of 32 to 1024 bytes; give the raw UID2 or the advertising token unchanged")
)

func invalid(message string) *fault.Error { return fault.InvalidField(ReasonInvalid, "value", message) }

// Normalize returns the normal form of an identifier: the form to index, compare and store.
//
//   - external_id: Unicode form NFC without surrounding spaces; case counts.
//   - email: in lower case, without surrounding spaces, in NFC, the domain in its ASCII form (IDNA). Dots and tags in the local
//     part stay. A space inside is refused, not removed: the address it would leave may be another person's.
//   - phone: E.164 with the plus sign, if the number is of its country's plan; see the option Possible. The option Region is the
//     country of a number without country code. Numbers with an extension are refused, for they are a switchboard's and not a person's.
//   - mobile_ad_id: a UUID in lower case with hyphens.
//   - cookie, device_id: without surrounding spaces; case counts.
//   - uid2: without surrounding spaces, base64 in either alphabet; case counts.
//
// Otherwise the fault is Invalid with reason INVALID_IDENTIFIER at "value" or "kind".
func Normalize(kind, value string, o Options) (string, error) {
	switch kind {
	case Email:
		return normalEmail(value)
	case Phone:
		return normalPhone(value, o)
	case MobileAdID:
		return normalMobileAdID(value)
	case ExternalID:
		text, err := opaque(value)
		if err != nil {
			return "", err
		}
		text = norm.NFC.String(text)
		if utf8.RuneCountInString(text) > maxOpaque {
			return "", errLong // a few characters become several in NFC
		}
		return text, nil
	case Cookie, DeviceID:
		return opaque(value)
	case UID2Token:
		return normalUID2(value)
	}
	return "", errKind
}

// opaque returns a text that means nothing to us without its surrounding spaces.
func opaque(value string) (string, error) {
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(text) > maxOpaque {
		return "", errLong
	}
	return text, nil
}

// clean returns the text without surrounding spaces and tabs, and refuses what no identifier holds. Line breaks are refused even
// around it: they come from a file read wrongly, or from an attempt to smuggle a header into a message.
func clean(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", errUTF8
	}
	text := strings.TrimFunc(value, isSpace)
	if text == "" {
		return "", errEmpty
	}
	if strings.IndexFunc(text, isControl) >= 0 {
		return "", errControl
	}
	return text, nil
}

func isSpace(r rune) bool {
	return r == ' ' || r == '\t' || r > unicode.MaxASCII && unicode.Is(unicode.Zs, r)
}

func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029')
}

func normalMobileAdID(value string) (string, error) {
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	const hyphens = "........-....-....-....-............"
	var id [len(hyphens)]byte
	next := 0
	for i := range len(hyphens) {
		if hyphens[i] == '-' {
			id[i] = '-'
			if len(text) == len(hyphens) {
				if text[next] != '-' {
					return "", errMobileAdID
				}
				next++
			}
			continue
		}
		if next == len(text) {
			return "", errMobileAdID
		}
		c := lowerByte(text[next])
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", errMobileAdID
		}
		id[i] = c
		next++
	}
	if next != len(text) {
		return "", errMobileAdID
	}
	return string(id[:]), nil
}

func normalUID2(value string) (string, error) {
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	size := decodedLen(text)
	if size < minUID2 || size > maxUID2 {
		return "", errUID2
	}
	return text, nil
}

// decodedLen returns how many bytes are in the base64 of either alphabet, padded or not, or -1 if it is none.
func decodedLen(text string) int {
	bare := strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(bare, "-_") {
		encoding = base64.RawURLEncoding
	}
	if pad := len(text) - len(bare); pad > 0 && (pad > 2 || len(text)%4 != 0) {
		return -1
	}
	if encoding.DecodedLen(len(bare)) > maxUID2 {
		return -1
	}
	// DecodeString skips line breaks, which clean has refused.
	raw, err := encoding.DecodeString(bare)
	if err != nil {
		return -1
	}
	return len(raw)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// IsKind reports whether there is such a kind of identifier.
func IsKind(kind string) bool { return slices.Contains(Kinds, kind) }
