package region

import (
	_ "embed" // for codes.txt
	"iter"
	"slices"
	"strings"
	"sync"
)

//go:embed codes.txt
var codes string

// place is what is known of a code.
type place struct {
	ancestors []string
	// parent marks codes that others lie in.
	parent bool
}

// table parses the embedded codes once, on first use, so that a program that never asks for a region does not pay.
var table = sync.OnceValue(func() map[string]*place {
	places := make(map[string]*place, 6000)
	for line := range strings.Lines(codes) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		country := words[0]
		places[country] = &place{parent: len(words) > 1}
		up := make(map[string]string, len(words))
		for _, w := range words[1:] {
			local, parent, _ := strings.Cut(w, "<")
			code := country + "-" + local
			places[code] = &place{}
			if parent != "" {
				up[code] = country + "-" + parent
			}
		}
		for code := range up {
			p := places[code]
			// A parent that is no code, or a loop, would be an error of the table: the chain is cut there, and goes on
			// with the country. A test over the whole table shows that neither occurs.
			for at := up[code]; at != "" && places[at] != nil && !slices.Contains(p.ancestors, at); at = up[at] {
				p.ancestors = append(p.ancestors, at)
				places[at].parent = true
			}
		}
		for _, w := range words[1:] {
			local, _, _ := strings.Cut(w, "<")
			p := places[country+"-"+local]
			p.ancestors = append(p.ancestors, country)
		}
	}
	return places
})

// Valid reports whether code is an ISO 3166-1 alpha-2 or ISO 3166-2 code, written in capitals.
func Valid(code string) bool {
	return table()[code] != nil
}

// Ancestors returns the codes that code lies in, nearest first and ending in its country; none for a country or for a code
// that is not valid. The caller must not change the result.
func Ancestors(code string) []string {
	if p := table()[code]; p != nil {
		return p.ancestors
	}
	return nil
}

// IsParent reports whether other codes lie in code.
func IsParent(code string) bool {
	p := table()[code]
	return p != nil && p.parent
}

// Contains reports whether code is area or lies in it.
func Contains(area, code string) bool {
	return area == code && Valid(code) || slices.Contains(Ancestors(code), area)
}

// Normalize returns text in the form of a code ("fr-naq " gives "FR-NAQ"), and whether that is a valid one.
func Normalize(text string) (string, bool) {
	code := strings.ToUpper(strings.TrimSpace(text))
	if !Valid(code) {
		return "", false
	}
	return code, true
}

// All returns every valid code, in no particular order.
func All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for code := range table() {
			if !yield(code) {
				return
			}
		}
	}
}
