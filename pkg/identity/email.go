package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Longest parts of an e-mail address in bytes (RFC 5321, 4.5.3.1, less the brackets around a path; RFC 1035 for domains).
const (
	maxAddress = 254
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
)

var (
	errEmailAt     = invalid("an e-mail address needs exactly one @ with something on both sides; write it like name@company.com")
	errEmailSpace  = invalid("an e-mail address holds a space; remove it if the address is right without it")
	errEmailLocal  = invalid("an e-mail address has, before the @, a dot at an end, two dots in a row, or a character that only quoting allows; correct it")
	errEmailDomain = invalid("an e-mail address has, after the @, no domain name such as company.com; correct it")
	errEmailLong   = invalid("an e-mail address has more than 64 bytes before the @ or 254 altogether; correct it")
)

// domains maps and checks names as browsers do (UTS 46, non-transitional), but allows hyphens in third and fourth place, which
// registered names have.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.ValidateLabels(true), idna.CheckHyphens(false),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false))

// address is a checked e-mail address: the parts as they were written, and the ASCII form of the domain.
type address struct{ local, domain, ascii string }

// parseEmail checks an e-mail address without surrounding spaces.
func parseEmail(text string) (address, error) {
	if strings.IndexFunc(text, isSpace) >= 0 {
		return address{}, errEmailSpace
	}
	local, domain, ok := strings.Cut(text, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return address{}, errEmailAt
	}
	if !isDotAtom(local) {
		return address{}, errEmailLocal
	}
	ascii, ok := asciiDomain(domain)
	if !ok || !strings.Contains(ascii, ".") {
		return address{}, errEmailDomain
	}
	if len(local) > maxLocal || len(local)+1+len(ascii) > maxAddress {
		return address{}, errEmailLong
	}
	return address{local, domain, ascii}, nil
}

// isDotAtom reports whether the local part needs no quoting (RFC 5322, 3.2.3; characters beyond ASCII as RFC 6531 allows, if
// one can see them).
func isDotAtom(local string) bool {
	last := '.'
	for _, r := range local {
		switch {
		case r == '.':
			if last == '.' {
				return false
			}
		case r >= utf8.RuneSelf:
			if !unicode.IsPrint(r) {
				return false
			}
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r):
		default:
			return false
		}
		last = r
	}
	return last != '.'
}

// asciiDomain returns the domain name in lower case and ASCII. Most names are that already and need no tables.
func asciiDomain(domain string) (string, bool) {
	ascii := strings.ToLower(domain)
	if needsIDNA(ascii) {
		// The result must pass too: a few symbols are mapped to letters that the rules for right-to-left names then refuse.
		once, err := domains.ToASCII(domain)
		if err != nil {
			return "", false
		}
		if ascii, err = domains.ToASCII(once); err != nil || ascii != once {
			return "", false
		}
	}
	if len(ascii) > maxDomain {
		return "", false
	}
	start := 0
	for i := 0; i <= len(ascii); i++ {
		if i < len(ascii) && ascii[i] != '.' {
			if c := ascii[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return "", false
			}
			continue
		}
		label := ascii[start:i]
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		start = i + 1
	}
	// No top-level domain is of digits alone (RFC 3696, 2): the name is an IP address.
	top := ascii[strings.LastIndexByte(ascii, '.')+1:]
	return ascii, strings.Trim(top, "0123456789") != ""
}

func needsIDNA(lower string) bool {
	for i := range len(lower) {
		if lower[i] >= utf8.RuneSelf {
			return true
		}
	}
	return strings.HasPrefix(lower, "xn--") || strings.Contains(lower, ".xn--")
}

func normalEmail(value string) (string, error) {
	text, err := clean(value)
	if err != nil {
		return "", err
	}
	a, err := parseEmail(text)
	if err != nil {
		return "", err
	}
	local := norm.NFC.String(strings.ToLower(norm.NFC.String(a.local)))
	if len(local) > maxLocal || len(local)+1+len(a.ascii) > maxAddress {
		return "", errEmailLong // lower case or NFC may take more bytes
	}
	return local + "@" + a.ascii, nil
}

// withoutTag drops the dots of a local part and what follows its first plus sign, as Gmail does when it delivers.
func withoutTag(local string) string {
	local, _, _ = strings.Cut(local, "+")
	return strings.ReplaceAll(local, ".", "")
}

// lowerASCII lowers A to Z alone.
func lowerASCII(text string) string {
	for i := range len(text) {
		if lowerByte(text[i]) != text[i] {
			lower := []byte(text)
			for j := i; j < len(lower); j++ {
				lower[j] = lowerByte(lower[j])
			}
			return string(lower)
		}
	}
	return text
}

func withoutSpaces(text string) string {
	if strings.IndexFunc(text, isSpace) < 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if isSpace(r) {
			return -1
		}
		return r
	}, text)
}
