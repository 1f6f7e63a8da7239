package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

func TestAFaultIsFoundThroughWraps(t *testing.T) {
	inner := fault.New(fault.NotFound, "SEGMENT_NOT_FOUND", "there is no such segment; list them to see their names").With("segment", "segments/young")
	err := fmt.Errorf("read segment: %w", fmt.Errorf("resolve audience: %w", inner))

	if got := fault.KindOf(err); got != fault.NotFound {
		t.Errorf("KindOf = %v, want not found", got)
	}
	if got := fault.ReasonOf(err); got != "SEGMENT_NOT_FOUND" {
		t.Errorf("ReasonOf = %q", got)
	}
	var e *fault.Error
	if !errors.As(err, &e) || e.Metadata["segment"] != "segments/young" {
		t.Errorf("errors.As gave %+v", e)
	}
	if !fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) || fault.Is(nil, fault.Internal) {
		t.Error("Is does not follow KindOf, or holds for nil")
	}
}

func TestKindOfErrorsThatAreNotFaults(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"foreign":         {io.ErrUnexpectedEOF, fault.Internal},
		"cancelled":       {fmt.Errorf("read: %w", context.Canceled), fault.Canceled},
		"deadline":        {fmt.Errorf("read: %w", context.DeadlineExceeded), fault.Deadline},
		"fault over ctx":  {fault.New(fault.Unavailable, "X", "later").Wrap(context.DeadlineExceeded), fault.Unavailable},
		"joined":          {errors.Join(io.EOF, fault.New(fault.Denied, "X", "no")), fault.Denied},
		"outermost fault": {fault.New(fault.Unavailable, "OUTER", "later").Wrap(fault.New(fault.NotFound, "INNER", "gone")), fault.Unavailable},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("%s: KindOf = %v, want %v", name, got, c.want)
		}
	}
	if got := fault.ReasonOf(io.EOF); got != "" {
		t.Errorf("a foreign error has reason %q", got)
	}
}

func TestBuildersLeaveTheOriginalAlone(t *testing.T) {
	base := fault.New(fault.Unavailable, "INDEX_STALE", "the index is behind; try again").With("age", 5*time.Second)
	derived := base.With("bound", "3s").Retry(time.Second).Wrap(io.EOF).At("spec").Unmet("T", "s", "d")

	if len(base.Metadata) != 1 || base.RetryAfter != 0 || base.Unwrap() != nil || base.Violations != nil || base.Preconditions != nil {
		t.Errorf("a derived fault changed its base: %+v", base)
	}
	if derived.Metadata["age"] != "5s" || derived.Metadata["bound"] != "3s" || derived.RetryAfter != time.Second {
		t.Errorf("derived lost something: %+v", derived)
	}
	if !errors.Is(derived, io.EOF) || !errors.Is(derived, base) {
		t.Error("derived is neither its cause nor its sentinel")
	}
	if errors.Is(derived, fault.New(fault.Unavailable, "OTHER", "")) || errors.Is(derived, fault.New(fault.Internal, "INDEX_STALE", "")) {
		t.Error("a fault equals one of another reason or kind")
	}
	if got := base.Retry(-time.Second).RetryAfter; got != 0 {
		t.Errorf("a negative wait became %v", got)
	}
}

func TestErrorTextHoldsWhatALogNeeds(t *testing.T) {
	var v fault.Violations
	v.Add("age.min", "RANGE_EMPTY", "lower bound above upper bound")
	v.Add("regions[0]", "REGION_UNKNOWN", "not an ISO 3166 code")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.NotFound, "X_GONE", "no such x").Wrap(io.EOF), "no such x (X_GONE): EOF"},
		{&fault.Error{Kind: fault.Conflict}, "conflict"},
		{fault.InvalidField("BAD", "a.b", "wrong"), "wrong (BAD) at a.b"},
		{v.Err(), "2 fields are wrong; correct each of them and send the request again (INVALID_FIELDS): age.min: lower bound above upper bound; regions[0]: not an ISO 3166 code"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("Error() = %q, want %q", got, c.want)
		}
	}
}

func TestViolationsCollectsInOrderUnderPrefixes(t *testing.T) {
	var v fault.Violations
	if err := v.Err(); err != nil {
		t.Fatalf("an empty collector gave %v", err)
	}
	spec := v.In("spec")
	spec.Add("age", "RANGE_EMPTY", "a")
	spec.In("regions[1]").Add("", "REGION_UNKNOWN", "b")
	v.Add("page_size", "NEGATIVE", "c")
	if !v.AddErr("rule", fault.InvalidField("RULE_TYPE", "[3]", "d")) || !v.AddErr("x", nil) {
		t.Error("AddErr refused an invalid fault or nil")
	}
	if !v.AddErr("etag", fault.New(fault.Invalid, "ETAG_SYNTAX", "e")) {
		t.Error("AddErr refused an invalid fault without violations")
	}
	if v.AddErr("store", io.EOF) {
		t.Error("AddErr took an error that is not about fields")
	}
	err := v.Err()
	e := fault.As(err)
	if e == nil || e.Kind != fault.Invalid || e.Reason != fault.ReasonInvalid || spec.Len() != 5 {
		t.Fatalf("Err = %#v, %d recorded", err, spec.Len())
	}
	want := []fault.Violation{
		{Field: "spec.age", Description: "a", Reason: "RANGE_EMPTY"},
		{Field: "spec.regions[1]", Description: "b", Reason: "REGION_UNKNOWN"},
		{Field: "page_size", Description: "c", Reason: "NEGATIVE"},
		{Field: "rule[3]", Description: "d", Reason: "RULE_TYPE"},
		{Field: "etag", Description: "e", Reason: "ETAG_SYNTAX"},
	}
	for i, w := range want {
		if e.Violations[i] != w {
			t.Errorf("violation %d = %+v, want %+v", i, e.Violations[i], w)
		}
	}
}

func TestOneOrEqualReasonsBecomeTheReasonOfTheFault(t *testing.T) {
	var one, same fault.Violations
	one.Add("a", "REGION_UNKNOWN", "x")
	same.Add("a", "REGION_UNKNOWN", "x")
	same.Add("b", "REGION_UNKNOWN", "y")
	var bare fault.Violations
	bare.Add("a", "", "x")
	for _, c := range []struct {
		v    *fault.Violations
		want string
	}{{&one, "REGION_UNKNOWN"}, {&same, "REGION_UNKNOWN"}, {&bare, fault.ReasonInvalid}} {
		if got := fault.ReasonOf(c.v.Err()); got != c.want {
			t.Errorf("reason = %q, want %q", got, c.want)
		}
	}
}

func TestUnderNestsPaths(t *testing.T) {
	e := fault.InvalidField("R", "birth_date", "m").At("").Under("profiles[3]")
	if e.Violations[0].Field != "profiles[3].birth_date" || e.Violations[1].Field != "profiles[3]" {
		t.Errorf("Under gave %+v", e.Violations)
	}
}

func TestJoinAndIndex(t *testing.T) {
	for _, c := range [][3]string{{"", "", ""}, {"a", "", "a"}, {"", "b", "b"}, {"a", "b", "a.b"}, {"a", "[1].b", "a[1].b"}} {
		if got := fault.Join(c[0], c[1]); got != c[2] {
			t.Errorf("Join(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
	if got := fault.Index("rows", 12); got != "rows[12]" {
		t.Errorf("Index = %q", got)
	}
}

func TestEveryKindHasItsOwnName(t *testing.T) {
	seen := map[string]fault.Kind{}
	for _, k := range fault.Kinds() {
		if before, twice := seen[k.String()]; twice || k.String() == "" {
			t.Errorf("kinds %d and %d are both %q", before, k, k)
		}
		seen[k.String()] = k
	}
	if fault.Kind(200).String() != "internal" {
		t.Error("an unknown kind does not read as internal")
	}
}
