package identity

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Fields of a person by which some destinations match beside identifiers.
const (
	// GivenName is a first name.
	GivenName = "given_name"
	// FamilyName is a last name.
	FamilyName = "family_name"
	// Country is an ISO 3166-1 alpha-2 code.
	Country = "country"
	// PostalCode is a postal code of the country in Options.
	PostalCode = "postal_code"
	// Gender is female or male, or f or m.
	Gender = "gender"
	// BirthDate is a date like 1990-12-31 or 19901231.
	BirthDate = "birth_date"
)

// Fields are all fields.
var Fields = []string{GivenName, FamilyName, Country, PostalCode, Gender, BirthDate}

var (
	errField         = fault.InvalidField(ReasonField, "field", "there is no such field; use given_name, family_name, country, postal_code, gender or birth_date")
	errFieldNotTaken = fault.InvalidField(ReasonNotTaken, "field", "the destination does not take this field; ask it for its fields")
	errFieldText     = invalidField("a field is empty, too long, not valid UTF-8 or holds control characters; correct it or leave it out")
	errName          = invalidField("a name has no letters; leave it out")
	errCountry       = invalidField("a country is an ISO 3166-1 alpha-2 code such as FR; correct it or leave it out")
	errPostalCode    = invalidField("a postal code is not one of its country; correct it or leave it out")
	errGender        = invalidField("the destination knows the genders female and male alone; leave it out")
	errBirthDate     = invalidField("a birth date is a date such as 1990-12-31; correct it or leave it out")
)

func invalidField(message string) *fault.Error {
	return fault.InvalidField(ReasonField, "value", message)
}

// ForField returns a field of a person as the destination takes it: Google hashes names alone, Meta every field. The option
// Region is the country that a postal code belongs to; without it no rule of a country applies.
//
//   - Names. Google: in lower case, without a title in front of a given name (Mrs.) and a suffix after a family name (Jr.).
//     Meta: in lower case without punctuation, in UTF-8. NFC for both.
//   - Country. Google: in upper case and in the clear. Meta: in lower case.
//   - Postal code. Google: in the clear, US codes of 5 digits or 5+4. Meta: in lower case without spaces and hyphens, the first
//     5 digits of a US code, area, district and sector of a British one.
//   - Gender and birth date. Meta: f or m; YYYYMMDD.
//
// A fault has reason INVALID_FIELD, NOT_TAKEN_BY_DESTINATION or INVALID_DESTINATION.
func ForField(d Destination, field, value string, o Options) (string, error) {
	p, ok := profiles[d]
	switch {
	case !ok:
		return "", errDestination
	case !slices.Contains(Fields, field):
		return "", errField
	case !slices.Contains(p.fields, field):
		return "", errFieldNotTaken
	}
	if len(value) > 4*maxOpaque {
		return "", errFieldText
	}
	text, err := clean(strings.ReplaceAll(value, "\t", " "))
	if err != nil {
		return "", errFieldText
	}
	if d == Google {
		// A tab inside a name stays: Google's own normaliser keeps it (google-ads-php, issue 1173).
		return googleField(field, norm.NFC.String(strings.TrimFunc(value, isSpace)), o)
	}
	text, err = metaField(field, norm.NFC.String(text), o)
	if err != nil {
		return "", err
	}
	return p.encode(Hash(text)), nil
}

func googleField(field, text string, o Options) (string, error) {
	switch field {
	case Country:
		code, err := country(text)
		return strings.ToUpper(code), err
	case PostalCode:
		if strings.EqualFold(o.Region, "US") && !usPostalCode.MatchString(text) {
			return "", errPostalCode
		}
		return text, nil
	}
	return googleName(field, text).Hex(), nil
}

func googleName(field, text string) Digest {
	text = strings.ToLower(text)
	for {
		var rest, word string
		var ok bool
		if field == GivenName {
			word, rest, ok = strings.Cut(text, " ")
			ok = ok && slices.Contains(titles, strings.TrimSuffix(word, "."))
		} else if i := strings.LastIndexByte(text, ' '); i >= 0 {
			rest, word = text[:i], text[i+1:]
			ok = slices.Contains(suffixes, strings.TrimSuffix(word, "."))
		}
		rest = strings.TrimFunc(strings.TrimSuffix(rest, ","), isSpace)
		if !ok || rest == "" {
			return Hash(text)
		}
		text = rest
	}
}

// Titles and suffixes that are no part of a name, in lower case without the full stop.
var (
	titles   = []string{"mr", "mrs", "ms", "miss", "dr", "prof"}
	suffixes = []string{"jr", "sr", "ii", "iii", "iv"}
)

var (
	usPostalCode = regexp.MustCompile(`^[0-9]{5}(-?[0-9]{4})?$`)
	gbPostalCode = regexp.MustCompile(`^([a-z]{1,2}[0-9][a-z0-9]?[0-9])[a-z]{2}$`)
)

func metaField(field, text string, o Options) (string, error) {
	text = strings.ToLower(text)
	switch field {
	case GivenName, FamilyName:
		name := strings.Map(func(r rune) rune {
			if unicode.IsPunct(r) || unicode.IsSymbol(r) {
				return -1
			}
			return r
		}, text)
		if name = norm.NFC.String(strings.TrimFunc(name, isSpace)); name == "" {
			return "", errName
		}
		return name, nil
	case Country:
		return country(text)
	case PostalCode:
		return metaPostalCode(text, strings.ToUpper(o.Region))
	case Gender:
		switch text {
		case "f", "female":
			return "f", nil
		case "m", "male":
			return "m", nil
		}
		return "", errGender
	}
	for _, layout := range []string{time.DateOnly, "20060102"} {
		if day, err := time.Parse(layout, text); err == nil {
			return day.Format("20060102"), nil
		}
	}
	return "", errBirthDate
}

func metaPostalCode(text, region string) (string, error) {
	if region == "US" {
		if !usPostalCode.MatchString(text) {
			return "", errPostalCode
		}
		return text[:5], nil
	}
	text = strings.ReplaceAll(withoutSpaces(text), "-", "")
	if text == "" {
		return "", errPostalCode
	}
	if region == "GB" {
		if parts := gbPostalCode.FindStringSubmatch(text); parts != nil {
			return parts[1], nil
		}
	}
	return text, nil
}

// country returns the code in lower case.
func country(text string) (string, error) {
	if len(text) != 2 || text[0] >= utf8.RuneSelf || text[1] >= utf8.RuneSelf {
		return "", errCountry
	}
	region, err := language.ParseRegion(text)
	if err != nil || !region.IsCountry() || region.String() != strings.ToUpper(text) {
		return "", errCountry
	}
	return strings.ToLower(text), nil
}
