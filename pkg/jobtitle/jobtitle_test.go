package jobtitle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/jobtitle"
)

func TestTitlesHaveTheirLevels(t *testing.T) {
	for _, c := range cases {
		r := jobtitle.Read(c.title)
		if r.Level != c.level || r.Confidence < c.lo || r.Confidence > c.hi {
			t.Errorf("%q: %q with %v; want %q with %v to %v", c.title, r.Level, r.Confidence, c.level, c.lo, c.hi)
		}
	}
}

// rank is a level's place, -1 for none.
func rank(level string) int { return slices.Index(audience.JobLevels, level) }

// wellFormed reports what a Reading may never be.
func wellFormed(t *testing.T, title string, r jobtitle.Reading) {
	t.Helper()
	if r.Level == "" && r != (jobtitle.Reading{}) {
		t.Errorf("%q has no level and yet %+v", title, r)
	}
	if r.Level != "" && (rank(r.Level) < 0 || r.Confidence <= 0 || r.Confidence > 1 || r.Why == "") {
		t.Errorf("%q: %+v is no reading", title, r)
	}
}

func TestWritingDoesNotChangeTheLevel(t *testing.T) {
	for _, c := range cases {
		want := jobtitle.Read(c.title)
		wellFormed(t, c.title, want)
		for name, form := range map[string]string{
			"capitals": strings.ToUpper(c.title), "small letters": strings.ToLower(c.title), "decomposed": norm.NFD.String(c.title),
			"composed": norm.NFC.String(c.title), "spaces": "  " + strings.ReplaceAll(c.title, " ", " \t ") + " ", "dots": "." + c.title + "...",
			"genders": c.title + " (m/w/d)", "quotes": `"` + c.title + `"`, "full width blank": strings.ReplaceAll(c.title, " ", "\u3000"),
		} {
			if got := jobtitle.Read(form); got != want {
				t.Errorf("%q as %s: %+v; want %+v", c.title, name, got, want)
			}
		}
	}
}

func TestWhoAssistsOrIsRetiredHasNotTheLevelOfTheTitle(t *testing.T) {
	for _, c := range cases {
		for _, before := range []string{"Executive Assistant to the ", "Assistant to the ", "Secretary to the ", "Adviser to the "} {
			if r := jobtitle.Read(before + c.title); rank(r.Level) > rank("senior") {
				t.Errorf("%q: %+v", before+c.title, r)
			}
		}
		for _, before := range []string{"Retired ", "Former ", "Ex-", "Ehemaliger ", "Aspiring "} {
			if r := jobtitle.Read(before + c.title); r != (jobtitle.Reading{}) {
				t.Errorf("%q: %+v", before+c.title, r)
			}
		}
	}
}

// The same job is written in several orders; a table of heads and prefixes says what each must be.
func TestOrderOfWordsDoesNotChangeTheLevel(t *testing.T) {
	heads := map[string]string{"Manager": "manager", "Director": "director", "Vice President": "vp", "Supervisor": "manager", "VP": "vp"}
	lower := map[string]string{"manager": "manager", "director": "manager", "vp": "director"}
	n := 0
	for head, level := range heads {
		for _, function := range []string{"Sales", "Plant Maintenance", "Human Resources", "Supply Chain", "Nursing", "IT"} {
			for _, prefix := range []string{"", "Regional ", "Senior ", "Global ", "Deputy ", "Associate ", "Assistant ", "Acting "} {
				want := level
				if prefix == "Assistant " {
					want = lower[level]
				}
				for _, form := range []string{prefix + function + " " + head, prefix + head + ", " + function, prefix + head + " of " + function, prefix + head + " - " + function, prefix + head + " " + function} {
					n++
					r := jobtitle.Read(form)
					if r.Level != want {
						t.Errorf("%q: %+v; want %s", form, r, want)
					}
					if unsure := prefix == "Deputy " || prefix == "Associate " || prefix == "Assistant "; unsure && r.Confidence >= jobtitle.Sure {
						t.Errorf("%q is read with %v", form, r.Confidence)
					}
				}
			}
		}
	}
	t.Logf("%d titles", n)
}

func TestLongTitlesAreReadAtTheirBeginning(t *testing.T) {
	long := "Director of " + strings.Repeat("very important ", 100_000)
	if r := jobtitle.Read(long); r.Level != "director" {
		t.Errorf("a long title is %+v", r)
	}
	if r := jobtitle.Read(strings.Repeat("x ", 200) + "Director"); r.Level != "" {
		t.Errorf("a word behind the bound counts: %+v", r)
	}
	if r := jobtitle.Read(strings.Repeat("(", 1_000_000)); r.Level != "" {
		t.Errorf("parentheses are %+v", r)
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range cases {
		f.Add(c.title)
	}
	f.Add("\xff\xfe Director")
	f.Add("A\u0300\u0301\u0302((()")
	f.Fuzz(func(t *testing.T, title string) {
		r := jobtitle.Read(title)
		wellFormed(t, title, r)
		if again := jobtitle.Read(title); again != r {
			t.Errorf("%q: %+v, then %+v", title, r, again)
		}
		if composed := jobtitle.Read(norm.NFC.String(title)); len(title) < 1000 && composed != r {
			t.Errorf("%q: %+v, composed %+v", title, r, composed)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		jobtitle.Read(cases[i%len(cases)].title)
		i++
	}
}

func ExampleRead() {
	for _, title := range []string{"Senior Vice President, Sales", "Executive Assistant to the CEO", "HR Business Partner", "Geschäftsführer/in (m/w/d)"} {
		r := jobtitle.Read(title)
		fmt.Printf("%q %v\n", r.Level, r.Confidence)
	}
	// Output:
	// "vp" 0.95
	// "senior" 0.6
	// "" 0
	// "cxo" 0.85
}
