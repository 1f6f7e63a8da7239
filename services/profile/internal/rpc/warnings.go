package rpc

import (
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/services/profile"
)

// warnings are what looks odd in a profile today.
func (s *Service) warnings(p *profile.Profile) []*profilev1.Warning {
	var list []*profilev1.Warning
	for _, w := range profile.Plausibility(p, s.today()) {
		list = append(list, &profilev1.Warning{Field: w.Field, Code: w.Code, Message: w.Message})
	}
	return list
}

// doubts are the warnings about the rows of a unit, by row. They are looked for before the rows become the store's.
type doubts map[int][]profile.Warning

func (s *Service) doubts(rows []profile.Row) doubts {
	d := make(doubts)
	today := s.today()
	for i, r := range rows {
		if found := profile.Plausibility(r.Profile, today); len(found) > 0 {
			d[i] = found
		}
	}
	return d
}

// count counts the warnings about the rows that were accepted, by code.
func (d doubts) count(results []profile.Upserted) map[string]int64 {
	counts := make(map[string]int64)
	for i, found := range d {
		if results[i].Outcome == 0 {
			continue // refused, for a reason of its own
		}
		for _, w := range found {
			counts[w.Code]++
		}
	}
	return counts
}
