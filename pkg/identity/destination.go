package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Destination is a platform that takes identifiers of people.
type Destination string

// Destinations.
const (
	// Google is Customer Match over the Data Manager API.
	Google Destination = "google"
	// Meta is Custom Audiences and the Conversions API.
	Meta Destination = "meta"
	// UID2 is an operator of Unified ID 2.0.
	UID2 Destination = "uid2"
	// LinkedIn is Matched Audiences.
	LinkedIn Destination = "linkedin"
	// TheTradeDesk is CRM data and first-party data of The Trade Desk.
	TheTradeDesk Destination = "the_trade_desk"
	// Raw is whoever may have identifiers in the clear, in normal form.
	Raw Destination = "raw"
)

// Destinations are all destinations.
var Destinations = []Destination{Google, Meta, UID2, LinkedIn, TheTradeDesk, Raw}

// profile is all that differs between destinations. They change their rules: what changes is a line here, and its source.
type profile struct {
	kinds     []string
	fields    []string
	allFields bool
	purposes  []string
	email     emailRules
	phone     phoneRules
	encode    func(Digest) string
}

type emailRules struct {
	innerSpaces bool     // spaces inside are removed instead of refused
	asciiCase   bool     // only A to Z become lower case
	tagless     []string // domains whose addresses lose dots and tag
}

type phoneRules struct {
	bare bool // without the plus sign
	min  int  // fewest digits that the destination accepts, where it says so
}

// Advertising needs the consent to give data away for it and the consent to use it for personal advertising: Google's
// ad_user_data and ad_personalization (support.google.com/google-ads/answer/14310715), held to for every such destination.
var adPurposes = []string{"ads_user_data", "ads_personalisation"}

// Sources, beside those named below: developers.google.com/data-manager/api/devguides/concepts/formatting, and
// developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters.
var profiles = map[Destination]profile{
	Google: {
		kinds:     []string{Email, Phone, MobileAdID},
		fields:    []string{GivenName, FamilyName, Country, PostalCode},
		allFields: true,
		purposes:  adPurposes,
		email:     emailRules{innerSpaces: true, tagless: []string{"gmail.com", "googlemail.com"}},
		encode:    Digest.Hex,
	},
	Meta: {
		kinds:    []string{Email, Phone, MobileAdID},
		fields:   []string{GivenName, FamilyName, Country, PostalCode, Gender, BirthDate},
		purposes: adPurposes,
		phone:    phoneRules{bare: true},
		encode:   Digest.Hex,
	},
	// unifiedid.com/docs/getting-started/gs-normalization-encoding; that a phone number has 10 to 15 digits is the operator's
	// own check (IABTechLab/uid2-operator, InputNormalizationTest).
	UID2: {
		kinds:    []string{Email, Phone},
		purposes: adPurposes,
		email:    emailRules{asciiCase: true, tagless: []string{"gmail.com"}},
		phone:    phoneRules{min: 10},
		encode:   Digest.Base64,
	},
	// learn.microsoft.com/linkedin/marketing/matched-audiences/create-and-manage-segment-users takes SHA256_EMAIL and
	// GOOGLE_AID; experienceleague.adobe.com/docs/experience-platform/destinations/catalog/social/linkedin calls the former
	// email_lc_sha256, of the address in lower case. There is no phone number. Our kind does not tell Google's ids from Apple's.
	LinkedIn: {
		kinds:    []string{Email, MobileAdID},
		purposes: adPurposes,
		encode:   Digest.Hex,
	},
	// experienceleague.adobe.com/docs/experience-platform/destinations/catalog/advertising/tradedesk-emails, written by The
	// Trade Desk: addresses and numbers are normalised and hashed as for UID2, dots and tags of gmail.com included, and device
	// ids are sent as they are. Phone numbers are not taken in the EU (docs.tealium.com, The Trade Desk CRM Data connector).
	TheTradeDesk: {
		kinds:    []string{Email, Phone, MobileAdID, UID2Token},
		purposes: adPurposes,
		email:    emailRules{asciiCase: true, tagless: []string{"gmail.com"}},
		phone:    phoneRules{min: 10},
		encode:   Digest.Base64,
	},
	// Whether somebody may see identifiers in the clear is a matter of entitlement, not of consent to advertising.
	Raw: {kinds: Kinds},
}

var (
	errDestination = fault.InvalidField(ReasonDestination, "destination",
		"there is no such destination; use google, meta, uid2, linkedin, the_trade_desk or raw")
	errNotTaken   = fault.InvalidField(ReasonNotTaken, "kind", "the destination does not take identifiers of this kind; ask it for its kinds")
	errEmailTag   = invalid("an e-mail address has nothing before the @ but dots and a tag, which this destination drops; leave it out")
	errPhoneShort = invalid("a phone number has fewer digits than this destination accepts; leave it out")
	errDigest     = invalid("a SHA-256 digest is 64 hexadecimal digits or 44 characters of base64; give one of these")
)

// ParseDestination returns the destination of this name, or a fault with reason INVALID_DESTINATION.
func ParseDestination(name string) (Destination, error) {
	if d := Destination(name); slices.Contains(Destinations, d) {
		return d, nil
	}
	return "", errDestination
}

// Kinds returns the kinds of identifiers that the destination takes, none if there is no such destination.
func (d Destination) Kinds() []string { return slices.Clone(profiles[d].kinds) }

// Fields returns the fields of a person that the destination takes beside identifiers.
func (d Destination) Fields() []string { return slices.Clone(profiles[d].fields) }

// AllFields reports whether the destination can use fields only if it gets all of them: Google matches an address by name,
// country and postal code together.
func (d Destination) AllFields() bool { return profiles[d].allFields }

// Purposes returns the consent purposes that a person must have granted, each of them, before identifiers go there.
func (d Destination) Purposes() []string { return slices.Clone(profiles[d].purposes) }

// For returns an identifier as the destination takes it: normalised by its rules, and hashed if it wants hashes. Give the value
// as its owner wrote it, or its normal form. It does not ask a [Guard].
//
// A fault has reason INVALID_IDENTIFIER if the value has no such form, NOT_TAKEN_BY_DESTINATION if the destination does not take
// the kind, INVALID_DESTINATION if there is no such destination.
func For(d Destination, kind, value string, o Options) (string, error) {
	p, ok := profiles[d]
	switch {
	case !ok:
		return "", errDestination
	case !IsKind(kind):
		return "", errKind
	case !slices.Contains(p.kinds, kind):
		return "", errNotTaken
	case p.encode == nil || kind != Email && kind != Phone:
		return Normalize(kind, value, o)
	}
	text, err := p.plain(kind, value, o)
	if err != nil {
		return "", err
	}
	return p.encode(Hash(text)), nil
}

// plain returns what the destination would have hashed: an e-mail address or phone number in its normal form.
func (p profile) plain(kind, value string, o Options) (string, error) {
	if kind == Phone {
		text, err := normalPhone(value, o)
		switch {
		case err != nil:
			return "", err
		case !isE164(text, p.phone.min):
			return "", errPhoneShort
		case p.phone.bare:
			return text[1:], nil
		}
		return text, nil
	}
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	if p.email.innerSpaces {
		text = withoutSpaces(text)
	}
	a, err := parseEmail(text)
	if err != nil {
		return "", err
	}
	lower := strings.ToLower
	if p.email.asciiCase {
		lower = lowerASCII
	}
	local, domain := lower(a.local), lower(a.domain)
	if slices.Contains(p.email.tagless, domain) {
		if local = withoutTag(local); local == "" {
			return "", errEmailTag
		}
	}
	return local + "@" + domain, nil
}

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

// Hash returns the digest of the UTF-8 text, without salt, as destinations want it.
func Hash(text string) Digest { return sha256.Sum256([]byte(text)) }

// Hex returns the digest as 64 hexadecimal digits in lower case.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// Base64 returns the bytes of the digest (not its hexadecimal digits) in padded base64, 44 characters.
func (d Digest) Base64() string { return base64.StdEncoding.EncodeToString(d[:]) }

// ParseDigest reads a digest that somebody else computed, in hexadecimal of either case or in padded base64.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	var raw []byte
	var err error
	switch len(text) {
	case hex.EncodedLen(len(d)):
		raw, err = hex.DecodeString(text)
	case base64.StdEncoding.EncodedLen(len(d)):
		raw, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(raw) != len(d) {
		return d, errDigest // the library's error would quote the text
	}
	return Digest(raw), nil
}
