package merging

import (
	"cmp"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
)

// Origin is when something was last changed, to the microsecond, and from which source; "" where the write named none.
type Origin struct {
	Time   time.Time
	Source string
}

// compare orders origins by time, then by source.
func (o Origin) compare(other Origin) int {
	return cmp.Or(o.Time.Compare(other.Time), cmp.Compare(o.Source, other.Source))
}

// Provenance says where the parts of one profile come from. The zero Provenance knows nothing: each part then counts as changed
// when the profile was last changed, from no source. A Provenance is never changed once it was handed out, and means something
// only together with its profile.
type Provenance struct {
	// base is the origin of the parts without one of their own: that of most parts, of equally many the latest.
	base  Origin
	parts map[Part]Origin
}

// IsZero reports whether nothing is known.
func (v Provenance) IsZero() bool { return v.base == Origin{} && len(v.parts) == 0 }

// Of returns the origin of a part that the profile has.
func (v Provenance) Of(p *profile.Profile, part Part) Origin {
	if v.IsZero() {
		return Origin{Time: micro(p.UpdateTime)}
	}
	if o, ok := v.parts[part]; ok {
		return o
	}
	return v.base
}

// Track returns the provenance of the profile after a write that turned before into it: what changed has the origin of the
// write, everything else the one that it had in prov. Before nil: the profile is new. A new profile from no source needs no
// provenance, so that of the next write is told by its time of update. Both profiles are canonical; before has the time of
// update that it was stored with, and after need not have one.
func Track(before, after *profile.Profile, prov Provenance, at time.Time, source string) Provenance {
	write := Origin{Time: micro(at), Source: source}
	if before == nil && source == "" {
		return Provenance{}
	}
	parts := Parts(after)
	origins := make([]Origin, len(parts))
	for i, part := range parts {
		if before == nil || !same(part, before, after) {
			origins[i] = write
		} else {
			origins[i] = prov.Of(before, part)
		}
	}
	return provenance(parts, origins)
}

// provenance returns the one form in which the origins of parts are written.
func provenance(parts []Part, origins []Origin) Provenance {
	type count struct {
		origin Origin
		n      int
	}
	var counts []count // of very few origins
next:
	for _, o := range origins {
		for i := range counts {
			if counts[i].origin == o {
				counts[i].n++
				continue next
			}
		}
		counts = append(counts, count{o, 1})
	}
	if len(counts) == 0 {
		return Provenance{}
	}
	most := counts[0]
	for _, c := range counts[1:] {
		if cmp.Or(cmp.Compare(c.n, most.n), c.origin.compare(most.origin)) > 0 {
			most = c
		}
	}
	v := Provenance{base: most.origin}
	if len(counts) > 1 {
		v.parts = make(map[Part]Origin, len(parts)-most.n)
		for i, part := range parts {
			if origins[i] != most.origin {
				v.parts[part] = origins[i]
			}
		}
	}
	return v
}

// micro cuts a time to what is stored.
func micro(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }
