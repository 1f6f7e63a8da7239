package identity_test

import (
	"encoding/xml"
	"os"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// Deviations from the isemail corpus: what is an address by some RFC and none here, by the corpus's diagnosis, with the number of
// its cases and the reason. Everything that it calls valid, or valid but unknown to DNS in 2011, is accepted; everything that it
// calls an error is refused.
var refusedAddresses = []struct {
	diagnosis string
	cases     int
	why       string
}{
	{"ISEMAIL_RFC5321_QUOTEDSTRING", 6, "no mailbox provider gives out quoted local parts"},
	{"ISEMAIL_DEPREC_LOCALPART", 2, "quoted local parts"},
	{"ISEMAIL_DEPREC_QP", 4, "quoted local parts"},
	{"ISEMAIL_DEPREC_QTEXT", 2, "quoted local parts"},
	{"ISEMAIL_CFWS_COMMENT", 4, "a comment belongs in a message header, not in a person's record"},
	{"ISEMAIL_DEPREC_COMMENT", 1, "comments"},
	{"ISEMAIL_DEPREC_CTEXT", 2, "comments"},
	{"ISEMAIL_DEPREC_CFWS_NEAR_AT", 5, "comments, and spaces inside, which are more often a slip than a part of the address"},
	{"ISEMAIL_DEPREC_FWS", 3, "spaces inside, and folded lines"},
	{"ISEMAIL_CFWS_FWS", 4, "folded lines belong in a message header (the two cases with a space alone are accepted)"},
	{"ISEMAIL_RFC5321_ADDRESSLITERAL", 7, "an address at an IP address is a machine's"},
	{"ISEMAIL_RFC5321_IPV6DEPRECATED", 1, "address literals"},
	{"ISEMAIL_RFC5322_DOMAINLITERAL", 7, "address literals"},
	{"ISEMAIL_RFC5322_DOMLIT_OBSDTEXT", 3, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_2X2XCOLON", 2, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_BADCHAR", 1, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_COLONEND", 1, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_COLONSTRT", 2, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_GRPCOUNT", 4, "address literals"},
	{"ISEMAIL_RFC5322_IPV6_MAXGRPS", 2, "address literals"},
	{"ISEMAIL_RFC5321_TLD", 1, "a domain without a dot is a host of somebody's own network (RFC 7085)"},
	{"ISEMAIL_VALID", 1, "test@io: a domain without a dot, though this one had a mail server in 2011"},
	{"ISEMAIL_RFC5321_TLDNUMERIC", 2, "no top-level domain is a number (RFC 3696)"},
	{"ISEMAIL_RFC5322_DOMAIN", 1, "a slash is no part of a domain name"},
	{"ISEMAIL_RFC5322_DOMAIN_TOOLONG", 1, "longer than SMTP can carry"},
	{"ISEMAIL_RFC5322_LABEL_TOOLONG", 1, "longer than DNS can carry"},
	{"ISEMAIL_RFC5322_LOCAL_TOOLONG", 3, "longer than SMTP can carry"},
	{"ISEMAIL_RFC5322_TOOLONG", 2, "longer than SMTP can carry"},
}

func TestAddressesOfTheIsemailCorpus(t *testing.T) {
	raw, err := os.ReadFile(testkit.SharedData(t, "identity_vectors", "isemail_tests.xml"))
	if err != nil {
		t.Fatalf("read corpus: %v", err)
	}
	var corpus struct {
		Tests []struct {
			ID        string `xml:"id,attr"`
			Address   string `xml:"address"`
			Category  string `xml:"category"`
			Diagnosis string `xml:"diagnosis"`
		} `xml:"test"`
	}
	if err := xml.Unmarshal(raw, &corpus); err != nil {
		t.Fatalf("decode corpus: %v", err)
	}
	accepted, errors, refused := 0, 0, map[string]int{}
	for _, c := range corpus.Tests {
		// XML cannot hold control characters, so the corpus has their symbols.
		address := strings.Map(func(r rune) rune {
			if 0x2400 <= r && r <= 0x241f {
				return r - 0x2400
			}
			return r
		}, c.Address)
		_, err := identity.Normalize(identity.Email, address, identity.Options{})
		switch {
		case c.Category == "ISEMAIL_ERR":
			if errors++; err == nil {
				t.Errorf("case %s: %q is accepted, want refused: %s", c.ID, address, c.Diagnosis)
			}
		case err != nil:
			refused[c.Diagnosis]++
		default:
			accepted++
			if c.Category != "ISEMAIL_VALID_CATEGORY" && c.Category != "ISEMAIL_DNSWARN" && strings.TrimSpace(address) == address {
				t.Errorf("case %s: %q is accepted although it is %s", c.ID, address, c.Diagnosis)
			}
		}
	}
	total := 0
	for _, d := range refusedAddresses {
		t.Logf("%2d refused as %s: %s", refused[d.diagnosis], d.diagnosis, d.why)
		if refused[d.diagnosis] != d.cases {
			t.Errorf("%d cases of %s are refused, want %d", refused[d.diagnosis], d.diagnosis, d.cases)
		}
		total += refused[d.diagnosis]
		delete(refused, d.diagnosis)
	}
	if len(refused) != 0 {
		t.Errorf("refused without a reason given: %v", refused)
	}
	t.Logf("accepted %d, refused %d errors and %d deviations", accepted, errors, total)
	if accepted < 20 || errors < 66 {
		t.Errorf("the corpus is not whole: %d accepted, %d errors", accepted, errors)
	}
}
