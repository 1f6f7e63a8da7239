package generate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// AttributeAge is the name under which ages are broken down.
const AttributeAge = "age"

// Dimension asks for the segment's counts by one attribute. Bounds are the upper bounds, not included, of bands.
type Dimension struct {
	Attribute string
	Bounds    []float64
	Limit     int32
}

// Dimensions returns what Make needs to know, in the order in which it expects the answers. Ages are asked for twice: by single
// years, and by decades for the many whose birth year alone is known, which leaves two possible ages.
func Dimensions() []Dimension {
	years := make([]float64, 100)
	for i := range years {
		years[i] = float64(i + 1)
	}
	list := []Dimension{{Attribute: AttributeAge, Bounds: years}, {Attribute: AttributeAge}}
	for _, a := range attributes {
		list = append(list, Dimension{Attribute: a.name, Limit: 200})
	}
	return list
}

// attributes are those that traits are taken from, in the order in which evidence lists them, and how many values of each.
var attributes = []struct {
	name string
	most int
}{
	{audience.AttrJobLevel, 3}, {audience.AttrRegion, 3}, {audience.AttrGender, 1}, {audience.AttrInterests, 5}, {audience.AttrPreferredChannels, 3},
	{audience.AttrLifecycle, 1}, {audience.AttrEducation, 2}, {audience.AttrMaritalStatus, 1}, {audience.AttrRoles, 3},
	{audience.AttrEmployerIndustry, 2}, {audience.AttrEmployerSize, 2}, {audience.AttrNeeds, 3}, {audience.AttrValues, 3}, {audience.AttrPreferredBrands, 3},
}

// Bucket is one value, or band, with its counts and shares.
type Bucket struct {
	Value                  string
	Count, BaseCount       int64
	Share, BaseShare, Lift float64
}

// Distribution is the counts by one attribute.
type Distribution struct {
	Attribute string
	Buckets   []Bucket
	Missing   int64
}

// Statistics are the answers to Dimensions.
type Statistics struct {
	// Count is the number of profiles of the segment, Base that of all.
	Count, Base   int64
	Distributions []Distribution
}

func (s *Statistics) of(attribute string) []Bucket {
	for _, d := range s.Distributions {
		if d.Attribute == attribute {
			return ranked(d.Buckets)
		}
	}
	return nil
}

// ranked returns the buckets that hold anybody, the most frequent first.
func ranked(buckets []Bucket) []Bucket {
	kept := slices.DeleteFunc(slices.Clone(buckets), func(b Bucket) bool { return b.Count <= 0 })
	slices.SortStableFunc(kept, func(a, b Bucket) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return kept
}

// ages are counts by age, ascending: single years, or wider bands where single years say too little.
type ages struct {
	bands []band
	known int64
}

type band struct {
	lo, hi      int64 // whole years, both included
	label       string
	count, base int64
}

// maxAge is the oldest age taken from an open band.
const maxAge = 150

// agesOf takes the ages by single years if they tell at least half as much as the decades do.
func agesOf(s *Statistics) ages {
	var found []ages
	for _, d := range s.Distributions {
		if d.Attribute != AttributeAge {
			continue
		}
		var a ages
		for _, b := range d.Buckets {
			lo, hi, ok := parseBand(b.Value)
			if !ok {
				continue
			}
			a.bands = append(a.bands, band{lo: lo, hi: hi, label: b.Value, count: b.Count, base: b.BaseCount})
			a.known += b.Count
		}
		slices.SortStableFunc(a.bands, func(x, y band) int { return cmp.Compare(x.lo, y.lo) })
		found = append(found, a)
	}
	switch {
	case len(found) == 0:
		return ages{}
	case len(found) == 1 || 2*found[0].known >= found[1].known:
		return found[0]
	}
	return found[1]
}

// parseBand reads "<18", "18-24", "30" and "65+".
func parseBand(text string) (lo, hi int64, ok bool) {
	number := func(t string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
		return n, err == nil && n >= 0 && n <= maxAge
	}
	if rest, found := strings.CutPrefix(text, "<"); found {
		hi, ok = number(rest)
		return 0, max(hi-1, 0), ok
	}
	if rest, found := strings.CutSuffix(text, "+"); found {
		lo, ok = number(rest)
		return lo, maxAge, ok
	}
	from, to, found := strings.Cut(text, "-")
	if lo, ok = number(from); !found || !ok {
		return lo, lo, ok
	}
	hi, ok = number(to)
	return lo, hi, ok && lo <= hi
}

// quantile returns the age that a share q (0 to 1) of those whose age is known are at most, as even as possible inside a band.
func (a ages) quantile(q float64) int64 {
	rank := q * float64(a.known)
	before := 0.0
	for _, b := range a.bands {
		n := float64(b.count)
		if n > 0 && before+n >= rank {
			width := float64(min(b.hi, b.lo+20) - b.lo + 1) // an open band ends nowhere; few are much older
			return b.lo + int64(min((rank-before)/n*width, width-1))
		}
		before += n
	}
	return 0
}

// groups are the bands of ages that people speak of.
var groups = []struct {
	lo, hi int64
	label  string
}{
	{0, 17, "under 18"}, {18, 24, "18-24"}, {25, 34, "25-34"}, {35, 44, "35-44"}, {45, 54, "45-54"}, {55, 64, "55-64"}, {65, maxAge, "65+"},
}

// buckets are the ages by the bands that people speak of, or by decades where single years are not known.
func (a ages) buckets() []Bucket {
	var counts []band
	if len(a.bands) > 0 && a.bands[len(a.bands)-1].hi == maxAge && len(a.bands) > 20 {
		for _, g := range groups {
			counts = append(counts, band{lo: g.lo, hi: g.hi, label: g.label})
		}
		for _, b := range a.bands {
			for i := range counts {
				if b.lo >= counts[i].lo && b.lo <= counts[i].hi {
					counts[i].count += b.count
					counts[i].base += b.base
				}
			}
		}
	} else {
		counts = a.bands
	}
	var base int64
	for _, c := range counts {
		base += c.base
	}
	var list []Bucket
	for _, c := range counts {
		b := Bucket{Value: c.label, Count: c.count, BaseCount: c.base}
		if a.known > 0 {
			b.Share = float64(c.count) / float64(a.known)
		}
		if base > 0 {
			b.BaseShare = float64(c.base) / float64(base)
		}
		if b.BaseShare > 0 {
			b.Lift = b.Share / b.BaseShare
		}
		list = append(list, b)
	}
	return ranked(list)
}
