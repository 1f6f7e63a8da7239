package identity

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Rules by which an identifier is nobody's. The words are stable.
const (
	// RulePlaceholder is a text that stands for a missing value: null, unknown, test@test.com.
	RulePlaceholder = "placeholder"
	// RuleReservedDomain is a domain that nobody can have (RFC 2606, RFC 6761).
	RuleReservedDomain = "reserved_domain"
	// RuleUnattended is a mailbox that nobody reads.
	RuleUnattended = "unattended_mailbox"
	// RuleFictitiousPhone is a number reserved for films and documents.
	RuleFictitiousPhone = "fictitious_phone"
	// RuleRepeatedDigits is a phone number of one digit after the country code.
	RuleRepeatedDigits = "repeated_digits"
	// RuleDigitSequence is a phone number that counts up or down after the country code.
	RuleDigitSequence = "digit_sequence"
	// RuleZeroID is an id of zeros or of f alone, as devices send that may not be tracked.
	RuleZeroID = "zero_id"
)

// Rules are all of them.
var Rules = []string{
	RulePlaceholder, RuleReservedDomain, RuleUnattended, RuleFictitiousPhone, RuleRepeatedDigits, RuleDigitSequence, RuleZeroID,
}

// Block is a rule as data: which identifiers are nobody's. A value is blocked if any of its lists names it.
type Block struct {
	// Rule is the stable word that refusals name: lower case letters, digits and underscores, at most 40.
	Rule string
	// Kinds are the kinds that it concerns, empty for all.
	Kinds []string
	// Values are whole values, compared with normal forms without regard to case. In a phone number ? stands for any digit.
	Values []string
	// Domains are domains of e-mail addresses in ASCII form; each stands for all below it too. One label is a top-level domain.
	Domains []string
	// Mailboxes are local parts of e-mail addresses at any domain, compared without regard to case and without their tag.
	Mailboxes []string
}

var defaultBlocks = []Block{
	{
		Rule: RulePlaceholder,
		Values: []string{
			"null", "(null)", "<null>", "nil", "undefined", "none", "(none)", "n/a", "na", "#n/a", "nan", "unknown", "not set", "(not set)",
			"not available", "[object object]",
		},
	},
	{
		// Another system may number its customers from 0, and call one of them guest: these are only nobody's elsewhere.
		Rule: RulePlaceholder, Kinds: []string{Email, Phone, MobileAdID, Cookie, DeviceID, UID2Token},
		Values: []string{
			"empty", "blank", "missing", "anonymous", "guest", "default", "test", "string", "true", "false", "-", "--", ".", "?", "0", "-1",
			"xxx", "tbd",
		},
	},
	{
		Rule: RulePlaceholder, Kinds: []string{Email},
		Values: []string{
			"test@test.com", "test@gmail.com", "test@email.com", "none@none.com", "no@no.com", "na@na.com", "null@null.com",
			"noemail@noemail.com", "email@email.com", "mail@mail.com", "user@user.com", "user@domain.com", "name@domain.com",
			"a@a.com", "a@b.com", "aa@aa.com", "abc@abc.com", "asdf@asdf.com", "x@x.com", "xx@xx.com", "xxx@xxx.com",
			"123@123.com", "unknown@unknown.com", "anonymous@anonymous.com", "customer@customer.com", "guest@guest.com",
		},
	},
	{
		Rule: RulePlaceholder, Kinds: []string{MobileAdID, Cookie, DeviceID},
		Values: []string{"12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789abc"},
	},
	{
		Rule: RuleReservedDomain, Kinds: []string{Email},
		Domains: []string{"example.com", "example.org", "example.net", "example", "test", "invalid", "localhost", "local"},
	},
	{
		Rule: RuleUnattended, Kinds: []string{Email},
		Mailboxes: []string{
			"noreply", "no-reply", "no_reply", "no.reply", "donotreply", "do-not-reply", "do_not_reply", "do.not.reply", "dontreply",
			"mailer-daemon", "nobody", "noemail", "no-email", "no_email", "no.email",
		},
	},
	{
		// North America: 555-0100 to 555-0199 in every area code (ATIS-0300115). United Kingdom: Ofcom's numbers for drama.
		// Australia: numbers of ACMA for creative works.
		Rule: RuleFictitiousPhone, Kinds: []string{Phone},
		Values: []string{
			"+1???55501??", "+447700900???", "+442079460???",
			"+61491570006", "+61491570110", "+61491570156", "+61491570157", "+61491570158", "+61491570159",
		},
	},
}

// Guard knows which identifiers are nobody's: to keep them would make strangers into one person. It is safe for concurrent use.
type Guard struct {
	values    map[entry]string // rule by kind and value
	domains   map[entry]string
	mailboxes map[entry]string
	numbers   []Block // of phone numbers with ?
}

type entry struct{ kind, text string }

// NewGuard returns a guard with the default rules and the additions. A fault about an addition has reason INVALID_BLOCK and its
// field path.
func NewGuard(additions ...Block) (*Guard, error) {
	g := &Guard{values: map[entry]string{}, domains: map[entry]string{}, mailboxes: map[entry]string{}}
	var v fault.Violations
	for i, b := range additions {
		b.check(v.In(fmt.Sprintf("blocks[%d]", i)))
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	for _, b := range slices.Concat(defaultBlocks, additions) {
		g.add(b)
	}
	return g, nil
}

func (b Block) check(v *fault.Violations) {
	rest := strings.Trim(b.Rule, "abcdefghijklmnopqrstuvwxyz0123456789_")
	if b.Rule == "" || len(b.Rule) > 40 || rest != "" {
		v.Add("rule", ReasonBlock, "a rule is named by 1 to 40 lower case letters, digits and underscores; rename it")
	}
	for i, kind := range b.Kinds {
		if !IsKind(kind) {
			v.Add(fmt.Sprintf("kinds[%d]", i), ReasonBlock, errKind.Message)
		}
	}
	if len(b.Values)+len(b.Domains)+len(b.Mailboxes) == 0 {
		v.Add("values", ReasonBlock, "a rule needs a value, a domain or a mailbox; add one or remove the rule")
	}
	for i, value := range b.Values {
		if fold(value) == "" || strings.Contains(value, "?") && b.only(Phone) && !isE164(strings.ReplaceAll(value, "?", "1"), minE164) {
			v.Add(fmt.Sprintf("values[%d]", i), ReasonBlock, "a value is not empty, and a phone number with ? is in E.164 with the plus sign; correct it")
		}
	}
	for i, domain := range b.Domains {
		if ascii, ok := asciiDomain(domain); !ok || ascii != domain {
			v.Add(fmt.Sprintf("domains[%d]", i), ReasonBlock, "a domain is a name in lower case and ASCII form such as company.com; correct it")
		}
	}
	for i, mailbox := range b.Mailboxes {
		if !isDotAtom(mailbox) || strings.Contains(mailbox, "+") {
			v.Add(fmt.Sprintf("mailboxes[%d]", i), ReasonBlock, "a mailbox is what stands before the @ of an address, without tag; correct it")
		}
	}
}

func (b Block) only(kind string) bool { return len(b.Kinds) == 1 && b.Kinds[0] == kind }

func (g *Guard) add(b Block) {
	kinds := b.Kinds
	if len(kinds) == 0 {
		kinds = Kinds
	}
	put := func(m map[entry]string, kind, text string) {
		if e := (entry{kind, fold(text)}); m[e] == "" {
			m[e] = b.Rule
		}
	}
	for _, kind := range kinds {
		for _, value := range b.Values {
			if kind == Phone && strings.Contains(value, "?") && isE164(strings.ReplaceAll(value, "?", "1"), minE164) {
				g.numbers = append(g.numbers, Block{Rule: b.Rule, Values: []string{value}})
				continue
			}
			put(g.values, kind, value)
		}
	}
	for _, domain := range b.Domains {
		put(g.domains, Email, domain)
	}
	for _, mailbox := range b.Mailboxes {
		put(g.mailboxes, Email, mailbox)
	}
}

func fold(text string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(text))) }

// Blocked returns the rule by which an identifier in normal form is nobody's, or "" if none says so.
func (g *Guard) Blocked(kind, normal string) string {
	if rule := g.values[entry{kind, fold(normal)}]; rule != "" {
		return rule
	}
	switch kind {
	case Email:
		return g.blockedEmail(normal)
	case Phone:
		return g.blockedPhone(normal)
	case MobileAdID, Cookie, DeviceID:
		if isZeroID(normal) {
			return RuleZeroID
		}
	}
	return ""
}

// Check returns an Invalid fault with reason IDENTIFIER_BLOCKED that names the rule if the identifier in normal form is nobody's.
func (g *Guard) Check(kind, normal string) error {
	rule := g.Blocked(kind, normal)
	if rule == "" {
		return nil
	}
	return fault.InvalidField(ReasonBlocked, "value", "an identifier of kind "+kind+" is nobody's by the rule "+rule+"; leave it out").
		With("kind", kind).With("rule", rule)
}

func (g *Guard) blockedEmail(normal string) string {
	local, domain, ok := strings.Cut(normal, "@")
	if !ok {
		return ""
	}
	local, _, _ = strings.Cut(local, "+")
	if rule := g.mailboxes[entry{Email, fold(local)}]; rule != "" {
		return rule
	}
	for more := true; more; _, domain, more = strings.Cut(domain, ".") {
		if rule := g.domains[entry{Email, domain}]; rule != "" {
			return rule
		}
	}
	return ""
}

func (g *Guard) blockedPhone(normal string) string {
	for _, b := range g.numbers {
		if likeNumber(normal, b.Values[0]) {
			return b.Rule
		}
	}
	national := strings.TrimPrefix(normal, "+")
	if p, ok := planOf(national); ok {
		national = national[len(p.code):]
	}
	switch step, ok := stepOf(national); {
	case !ok:
		return ""
	case step == 0:
		return RuleRepeatedDigits
	case step == 1 || step == 9:
		return RuleDigitSequence
	}
	return ""
}

// likeNumber reports whether the number equals the pattern, in which ? is any digit.
func likeNumber(number, pattern string) bool {
	if len(number) != len(pattern) {
		return false
	}
	for i := range len(number) {
		if pattern[i] != '?' && pattern[i] != number[i] {
			return false
		}
	}
	return true
}

// stepOf returns by how much each of at least 7 digits exceeds the one before it, modulo 10, if that is the same throughout.
func stepOf(digits string) (int, bool) {
	if len(digits) < 7 {
		return 0, false
	}
	step := (int(digits[1]) - int(digits[0]) + 10) % 10
	for i := 1; i < len(digits); i++ {
		if (int(digits[i])-int(digits[i-1])+10)%10 != step {
			return 0, false
		}
	}
	return step, true
}

// isZeroID reports whether an id of at least 8 characters is zeros alone, or f alone, beside its hyphens.
func isZeroID(id string) bool {
	if len(id) < 8 {
		return false
	}
	return strings.Trim(id, "0-") == "" && strings.Contains(id, "0") || strings.Trim(id, "fF-") == "" && strings.ContainsAny(id, "fF")
}
