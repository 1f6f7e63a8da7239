package identity

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// Digits of a number in E.164: the recommendation allows at most 15; the shortest in use have 7.
const (
	minE164 = 7
	maxE164 = 15
)

var (
	errPhoneChars   = invalid("a phone number holds something other than digits, spaces, brackets, dots, slashes and hyphens; give it without words or extension")
	errPhoneCountry = invalid("a phone number has no country code; write it like +33 6 12 34 56 78, or name the region whose numbers come without one")
	errPhoneRegion  = invalid("the region of phone numbers without country code has no numbering plan; name an ISO 3166-1 code such as FR")
	errPhone        = invalid("a phone number is not of any numbering plan; check its digits and country code")
)

// normalPhone returns the number in E.164 with the plus sign.
func normalPhone(value string, o Options) (string, error) {
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	if isE164(text, minE164) {
		return e164(text, o.Possible)
	}
	plus := false
	for i, r := range text {
		switch {
		case unicode.IsDigit(r), isSpace(r), strings.ContainsRune("().-/\u2010\u2011\u2012\u2013\u2212", r):
		case (r == '+' || r == '\uff0b') && strings.Trim(text[:i], "( ") == "":
			plus = true
		default:
			return "", errPhoneChars
		}
	}
	region := strings.ToUpper(o.Region)
	switch {
	case plus:
		region = ""
	case region == "":
		return "", errPhoneCountry
	case phonenumbers.GetCountryCodeForRegion(region) == 0:
		return "", errPhoneRegion
	}
	return parsePhone(text, region, o.Possible)
}

// isE164 reports whether the text is a plus sign and at least min digits, as E.164 numbers are written.
func isE164(text string, minDigits int) bool {
	if len(text) < 1+minDigits || len(text) > 1+maxE164 || text[0] != '+' || text[1] == '0' {
		return false
	}
	for i := 1; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// e164 returns the normal form of a text for which isE164 holds. The library spends most of its time taking numbers apart, which
// is needless where there is nothing to take apart: the country code is the first digits, and the rest is the national number,
// unless it begins with what the country dials in front of national numbers. Those few go the long way.
func e164(text string, possible bool) (string, error) {
	p, ok := planOf(text[1:])
	if !ok {
		return "", errPhone
	}
	national := text[1+len(p.code):]
	if p.prefixed(national) {
		return parsePhone(text, "", possible)
	}
	if !p.takes(national, possible) {
		return "", errPhone
	}
	return text, nil
}

// parsePhone has the library take the number apart. Its answer must be one that stays as it is: what changes when it is read
// again is not a normal form.
func parsePhone(text, region string, possible bool) (string, error) {
	once, again, ok := takeApart(text, region, possible)
	if ok && again {
		var same string
		if same, _, ok = takeApart(once, "", possible); same != once {
			ok = false
		}
	}
	if !ok {
		return "", errPhone
	}
	return once, nil
}

// takeApart returns the number in E.164, whether it could be taken apart once more, and whether it is of its country's plan.
func takeApart(text, region string, possible bool) (number string, again, ok bool) {
	n, err := phonenumbers.Parse(text, region)
	if err != nil || n.GetExtension() != "" {
		return "", false, false // the library's error would quote the number
	}
	code, national := strconv.Itoa(int(n.GetCountryCode())), phonenumbers.GetNationalSignificantNumber(n)
	number = "+" + code + national
	p, ok := planOf(number[1:])
	if !ok || p.code != code || !isE164(number, minE164) || !p.takes(national, possible) {
		return "", false, false
	}
	return number, p.prefixed(national), true
}
