package page

import (
	"encoding/base64"
	"strings"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	tokenv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/token/v1"
)

// Page sizes that every List method uses, and says in its contract.
const (
	DefaultSize = 50
	MaxSize     = 1000
)

// ReasonTokenInvalid is the reason of a token that is malformed or of another request.
const ReasonTokenInvalid = "PAGE_TOKEN_INVALID"

const version = 1

// Size is the number of rows of a page: the default for 0, the maximum for more than that. A negative size is an Invalid
// fault.
func Size(requested int32) (int, error) {
	switch {
	case requested < 0:
		return 0, fault.InvalidField("VALIDATION_FAILED", "page_size", "must not be negative; leave it out for the default")
	case requested == 0:
		return DefaultSize, nil
	default:
		return min(int(requested), MaxSize), nil
	}
}

// Checksum is of the fields of a request that must not change between its pages, such as the method and its filter. The
// boundaries between the parts count.
func Checksum(parts ...string) uint64 {
	h := xxhash.New()
	for _, part := range parts {
		// A digest never fails to take bytes.
		_, _ = h.WriteString(part)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// Encode makes the token of the page after a key, which is text without the character U+0000.
func Encode(after string, checksum uint64) string {
	// A message of three scalars always marshals.
	raw, _ := proto.Marshal(&tokenv1.PageToken{Version: version, RequestChecksum: checksum, After: after})
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode returns the key after which the page of a token begins; "" for the first page, whose token is empty. A token that
// this package did not make, or made for another checksum, is an Invalid fault.
func Decode(token string, checksum uint64) (after string, err error) {
	if token == "" {
		return "", nil
	}
	var t tokenv1.PageToken
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || proto.Unmarshal(raw, &t) != nil || t.GetVersion() != version {
		return "", notOurs()
	}
	if t.GetRequestChecksum() != checksum {
		return "", fault.InvalidField(ReasonTokenInvalid, "page_token", "belongs to another request; keep all other fields the same from page to page, or begin without a token")
	}
	if strings.ContainsRune(t.GetAfter(), 0) {
		return "", notOurs() // no key holds one, and some databases cannot compare it
	}
	return t.GetAfter(), nil
}

func notOurs() error {
	return fault.InvalidField(ReasonTokenInvalid, "page_token", "is not a page token; pass next_page_token of the page before as it was")
}
