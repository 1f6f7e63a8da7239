package region_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience/region"
)

// shared opens a file of the iso-codes project, whose texts are not part of this repository.
func shared(t *testing.T, name string, into any) {
	t.Helper()
	root := os.Getenv("NARROWCAST_SHARED_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, "geo", name)
	raw, err := os.ReadFile(path)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the table of regions is not checked: %v; set NARROWCAST_SHARED_DATA", err)
		}
		t.Skipf("SKIPPED, the table of regions is not checked: %v; set NARROWCAST_SHARED_DATA", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestTheTableIsThatOfISO(t *testing.T) {
	t.Parallel()
	var countries struct {
		List []struct {
			Code string `json:"alpha_2"`
		} `json:"3166-1"`
	}
	shared(t, "iso_3166-1.json", &countries)
	var parts struct {
		List []struct{ Code, Parent string } `json:"3166-2"`
	}
	shared(t, "iso_3166-2.json", &parts)
	if len(countries.List) != 249 {
		t.Fatalf("%d countries", len(countries.List))
	}
	parent := make(map[string]string)
	for _, c := range countries.List {
		parent[c.Code] = ""
		if !region.Valid(c.Code) || len(region.Ancestors(c.Code)) != 0 {
			t.Errorf("country %s: valid %v, in %v", c.Code, region.Valid(c.Code), region.Ancestors(c.Code))
		}
	}
	for _, p := range parts.List {
		country, _, _ := strings.Cut(p.Code, "-")
		parent[p.Code] = country
		switch {
		case strings.Contains(p.Parent, "-"):
			parent[p.Code] = p.Parent
		case p.Parent != "":
			parent[p.Code] = country + "-" + p.Parent
		}
	}
	for _, p := range parts.List {
		var want []string
		for up := parent[p.Code]; up != ""; up = parent[up] {
			want = append(want, up)
		}
		if got := region.Ancestors(p.Code); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s lies in %v, not in %v", p.Code, got, want)
		}
		if !region.Valid(p.Code) || !region.IsParent(want[0]) {
			t.Errorf("%s: valid %v, parent %v", p.Code, region.Valid(p.Code), region.IsParent(want[0]))
		}
	}
	n := 0
	for range region.All() {
		n++
	}
	if want := len(countries.List) + len(parts.List); n != want {
		t.Errorf("%d codes, want %d", n, want)
	}
}

func TestCountriesHaveTheirSubdivisions(t *testing.T) {
	t.Parallel()
	counts := make(map[string]int)
	countries := 0
	for code := range region.All() {
		if up := region.Ancestors(code); len(up) == 0 {
			countries++
		} else {
			last := up[len(up)-1]
			counts[last]++
			if last != code[:2] || region.Ancestors(last) != nil {
				t.Errorf("the ancestors of %s end in %s", code, last)
			}
		}
	}
	if countries != 249 {
		t.Errorf("%d countries", countries)
	}
	for country, want := range map[string]int{"DE": 16, "US": 57, "FR": 127, "GB": 220} {
		if counts[country] != want {
			t.Errorf("%s has %d subdivisions, want %d", country, counts[country], want)
		}
	}
}

func TestAncestorsAreNearestFirst(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"FR-40": "FR-NAQ FR", "FR-NAQ": "FR", "FR": "", "GB-LND": "GB-ENG GB", "DE-BE": "DE", "XX": "", "FR-XX": "", "": "",
	} {
		if got := strings.Join(region.Ancestors(code), " "); got != want {
			t.Errorf("%s lies in %q, want %q", code, got, want)
		}
	}
	if !region.Contains("FR", "FR-40") || !region.Contains("FR-40", "FR-40") || region.Contains("FR-40", "FR") || region.Contains("XX", "XX") {
		t.Error("containment is wrong")
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{" fr-naq ": "FR-NAQ", "DE": "DE", "de": "DE", "xx": "", "FR-": "", "": "", "FR40": ""} {
		got, ok := region.Normalize(text)
		if got != want || ok != (want != "") {
			t.Errorf("%q becomes %q, %v", text, got, ok)
		}
	}
}

func ExampleAncestors() {
	code, _ := region.Normalize("fr-40")
	fmt.Println(code, region.Ancestors(code))
	// Output: FR-40 [FR-NAQ FR]
}
