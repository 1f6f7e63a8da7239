package jobtitle

import (
	"math"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Sure is the confidence from which on an answer may be used without a person looking at it.
const Sure = 0.8

// The levels, as audience.JobLevels has them.
const (
	unpaid   = "unpaid"
	training = "training"
	entry    = "entry"
	senior   = "senior"
	manager  = "manager"
	director = "director"
	vp       = "vp"
	cxo      = "cxo"
	partner  = "partner"
	owner    = "owner"
)

// Reading is what a title says of the level of a job. The zero Reading says nothing.
type Reading struct {
	// Level is one of audience.JobLevels; "": the title does not say.
	Level string
	// Confidence is from 0 to 1, and 0 only without a level. See the package for what it means.
	Confidence float64
	// Why names the rule that decided, for people; a constant phrase without any word of the title. "" without a level.
	Why string
}

// Read returns the level that a title says. The title may be in any case and Unicode form, and of any length.
func Read(title string) Reading {
	all := merged(parts(title))
	var main, aside Reading
	for i, p := range all {
		if gone[p.at(0)] {
			if i == 0 || len(p.words) == 1 {
				return Reading{}
			}
			continue
		}
		r, final := readPart(p)
		if p.aside && r.Level != training && r.Level != unpaid {
			r.Confidence *= 0.7 // an abbreviation often stands for something else
			aside = higher(aside, r)
			continue
		}
		main = combine(main, r, p.aside)
		if final {
			break
		}
	}
	if main.Level == "" {
		main = aside
	}
	main.Confidence = math.Round(main.Confidence*100) / 100
	if main.Level == "" || main.Confidence == 0 {
		return Reading{}
	}
	return main
}

// merged puts a grade that follows a comma before what it grades: Engineer, Senior.
func merged(all []part) []part {
	var out []part
	for _, p := range all {
		if n := len(out); p.comma && n > 0 && len(p.words) == 1 && p.link == "" && grades[p.words[0]] {
			if !gone[out[n-1].words[0]] {
				out[n-1].words = append([]string{p.words[0]}, out[n-1].words...)
			}
			continue
		}
		out = append(out, p)
	}
	return out
}

// combine joins the readings of two parts. The higher level counts; that somebody is in training or unpaid counts where it is
// stated in parentheses.
func combine(a, b Reading, aside bool) Reading {
	if a.Level == "" || b.Level == "" || aside {
		if b.Level == "" {
			return a
		}
		return b
	}
	r := higher(a, b)
	if a.Level != b.Level && r.Level != owner {
		r.Confidence *= 0.9
	}
	return r
}

func higher(a, b Reading) Reading {
	i, j := rank(a.Level), rank(b.Level)
	if j > i || j == i && b.Confidence > a.Confidence {
		return b
	}
	return a
}

// rank is a level's place, -1 for none.
func rank(level string) int { return slices.Index(audience.JobLevels, level) }
