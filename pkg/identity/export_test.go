package identity

// What the tests of published vectors and of the two ways to a phone number look at.

// IsE164 is the check of a phone number's form.
var IsE164 = isE164

// ShortWay reports whether Normalize does without taking the number apart.
func ShortWay(e164 string) bool {
	p, ok := planOf(e164[1:])
	return ok && !p.prefixed(e164[1+len(p.code):])
}

// MinPhone is the fewest digits of a phone number that the destination accepts.
func MinPhone(d Destination) int { return profiles[d].phone.min }

// Plain is what For has hashed.
func Plain(d Destination, kind, value string, o Options) (string, error) {
	return profiles[d].plain(kind, value, o)
}

// Refusals are all answers to values: a refusal that is one of them cannot hold a value.
var Refusals = []error{
	errKind, errEmpty, errUTF8, errControl, errLong, errMobileAdID, errUID2, errEmailAt, errEmailSpace, errEmailLocal, errEmailDomain,
	errEmailLong, errEmailTag, errPhoneChars, errPhoneCountry, errPhoneRegion, errPhone, errPhoneShort, errDestination, errNotTaken,
	errDigest, errField, errFieldNotTaken, errFieldText, errName, errCountry, errPostalCode, errGender, errBirthDate,
}
