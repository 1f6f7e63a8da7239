package audience_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func TestDaysAreThoseOfTheCalendar(t *testing.T) {
	t.Parallel()
	at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for d := audience.MinDay; d <= audience.MaxDay; d++ {
		y, m, dom := audience.DateOf(d)
		if int(y) != at.Year() || int(m) != int(at.Month()) || int(dom) != at.Day() {
			t.Fatalf("day %d is %d-%d-%d, not %v", d, y, m, dom, at)
		}
		if back := audience.DayOf(y, m, dom); back != d {
			t.Fatalf("%v is day %d, not %d", at, back, d)
		}
		if d%997 == 0 && audience.FormatDay(d) != at.Format(time.DateOnly) {
			t.Fatalf("%v is written %s", at, audience.FormatDay(d))
		}
		at = at.AddDate(0, 0, 1)
	}
	if at.Year() != 10000 {
		t.Fatalf("the last day is before %v", at)
	}
}

func TestCutoffAndAgeAgree(t *testing.T) {
	t.Parallel()
	for d := audience.DayOf(2023, 2, 20); d < audience.DayOf(2025, 3, 10); d++ {
		for years := int64(-3); years <= 5; years++ {
			cutoff := audience.AgeCutoff(d, years)
			if audience.AgeOn(cutoff, d) < years || audience.AgeOn(cutoff+1, d) >= years {
				t.Fatalf("on %s the cutoff of %d years is %s", audience.FormatDay(d), years, audience.FormatDay(cutoff))
			}
		}
	}
}

func FuzzParseDay(f *testing.F) {
	for _, s := range []string{"2024-02-29", "2023-02-29", "0000-01-01", "9999-12-31", "2024-1-01", "", "２０２４-01-01", "2024-13-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := audience.ParseDay(text)
		want, wantErr := time.Parse(time.DateOnly, text)
		if wantErr == nil && want.Year() == 0 {
			return // the year 0 is the library's, not ours
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, the library says %v", text, err, wantErr)
		}
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != audience.ReasonInvalidDate {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if d != want.Unix()/86400 || audience.FormatDay(d) != text {
			t.Fatalf("%q is day %d, written %s", text, d, audience.FormatDay(d))
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.5", "1.005", "+3", "92233720368547758.07", "-92233720368547758.08", "92233720368547758.08", ".5", "5.", "1e3", "--1", "0x1"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, text string, scale int) {
		scale = int(uint(scale) % (audience.MaxScale + 1))
		n, err := audience.ParseDecimal(text, scale)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != audience.ReasonInvalidNumber {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if exact.Mul(exact, unit).Cmp(new(big.Rat).SetInt64(n)) != 0 {
			t.Fatalf("%q at scale %d is %d", text, scale, n)
		}
		if back, err := audience.ParseDecimal(audience.FormatDecimal(n, scale), scale); err != nil || back != n {
			t.Fatalf("%d at scale %d is written %s", n, scale, audience.FormatDecimal(n, scale))
		}
	})
}

func TestNumbersThatAreTooLargeAreRefused(t *testing.T) {
	t.Parallel()
	for text, scale := range map[string]int{
		"9223372036854775808": 0, "-9223372036854775809": 0, "92233720368547758.08": 2, "9223372036854775807": 1,
		"-92233720368547758.081": 2, "100000000000000000000000": 0, "1.5": 0, "": 0, "-": 0, "1.": 1, "1_000": 0,
	} {
		if n, err := audience.ParseDecimal(text, scale); fault.ReasonOf(err) != audience.ReasonInvalidNumber {
			t.Errorf("%q at scale %d: %d, %v", text, scale, n, err)
		}
	}
}
