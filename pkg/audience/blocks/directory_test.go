package blocks_test

import (
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

func TestAbsentIsNotEmpty(t *testing.T) {
	d := directory()
	d.Defs.Revision = 100
	d.Pending = []audience.Field{"f/custom.a=*", "f/region=FR-40", "s/new@9"}
	for _, c := range []struct {
		why      string
		field    audience.Field
		declared uint64
		want     blocks.Presence
	}{
		{"listed", "f/region=FR", 0, blocks.Present},
		{"listed column", "c/postal_code", 0, blocks.Present},
		{"listed, but pending", "f/region=FR-40", 0, blocks.Unknown},
		{"a built-in facet that nobody has", "f/gender=other", 0, blocks.Empty},
		{"a column that nobody has", "c/birth_date", 0, blocks.Empty},
		{"a presence row that nobody has", "p/gender", 0, blocks.Empty},
		{"declared at the position", "f/custom.b=x", 100, blocks.Empty},
		{"declared after the position", "f/custom.b=x", 101, blocks.Unknown},
		{"a column declared after the position", "c/custom.n", 101, blocks.Unknown},
		{"pending by prefix", "f/custom.a=x", 50, blocks.Unknown},
		{"beside the prefix", "f/custom.aa=x", 50, blocks.Empty},
		{"a segment listed as empty", "s/u@1", 0, blocks.Empty},
		{"a segment in another state", "s/u@2", 0, blocks.Unknown},
		{"a segment on a day", "s/u@1@20000", 0, blocks.Unknown},
		{"a pending segment", "s/new@9", 0, blocks.Unknown},
		{"live, listed as empty", "live", 0, blocks.Empty},
		{"a dictionary part without uids", "u/3", 0, blocks.Empty},
	} {
		if _, got := d.Lookup(c.field, c.declared); got != c.want {
			t.Errorf("%s: %s is %s, want %s", c.why, c.field, got, c.want)
		}
	}
	d.Entries = d.Entries[:3]
	if _, got := d.Lookup("live", 0); got != blocks.Unknown {
		t.Errorf("live, not listed, is %s", got)
	}
	var zero blocks.Presence
	if zero != blocks.Unknown {
		t.Error("the zero value concludes something")
	}
}
