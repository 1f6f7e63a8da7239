package mapping_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
)

func TestTitlesAreCounted(t *testing.T) {
	m, err := mapping.Parse([]byte("profile: {job_level: {column: title, from: job_title}, region: r}"))
	if err != nil {
		t.Fatal(err)
	}
	if !m.ReadsTitles() {
		t.Error("the mapping reads titles and does not say so")
	}
	// Two levels, three below the confidence, one unknown, one missing, and one in a row that is rejected.
	file := "title,r\nCEO,FR\nPlant Manager,FR\nAccount Manager,FR\nArt Director,FR\nAssistant Director,FR\nWelder,FR\n,FR\nCEO,Atlantis\n"
	rows, err := m.Open(strings.NewReader(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	rejected := 0
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Problems != nil {
			rejected++
		}
	}
	if got, want := rows.Titles(), (mapping.Titles{Read: 2, BelowThreshold: 3, Unknown: 1}); got != want || rejected != 1 {
		t.Errorf("counted %+v and %d rejected; want %+v and 1", got, rejected, want)
	}
	plain, err := mapping.Parse([]byte("profile: {job_level: a}"))
	if err != nil || plain.ReadsTitles() {
		t.Errorf("a mapping of levels reads titles: %v", err)
	}
}

func TestWrongMappingsOfTitles(t *testing.T) {
	for name, c := range map[string]struct{ yaml, says string }{
		"another source":      {"profile: {job_level: {column: a, from: salary}}", "job_title"},
		"confidence as text":  {"profile: {job_level: {column: a, from: job_title, min_confidence: high}}", "from 0 to 1"},
		"confidence above 1":  {"profile: {job_level: {column: a, from: job_title, min_confidence: 80}}", "from 0 to 1"},
		"confidence NaN":      {"profile: {job_level: {column: a, from: job_title, min_confidence: nan}}", "from 0 to 1"},
		"confidence alone":    {"profile: {job_level: {column: a, min_confidence: 0.5}}", "belongs to from: job_title"},
		"occupation alone":    {"profile: {job_level: {column: a, occupation: true}}", "belongs to from: job_title"},
		"occupation twice":    {"profile: {occupation: b, job_level: {column: a, from: job_title, occupation: true}}", "mapped twice"},
		"occupation of a map": {"profile: {job_level: {column: a, from: job_title, occupation: true, map: {x: owner}}}", "a field of its own"},
		"another field":       {"profile: {gender: {column: a, from: job_title}}", "means nothing here"},
	} {
		_, err := mapping.Parse([]byte(c.yaml))
		if fault.ReasonOf(err) != mapping.ReasonInvalid {
			t.Errorf("%s: %v is no %s", name, err, mapping.ReasonInvalid)
			continue
		}
		said := false
		for _, v := range fault.As(err).Violations {
			said = said || strings.Contains(v.Description, c.says)
		}
		if !said {
			t.Errorf("%s: %+v does not say %q", name, fault.As(err).Violations, c.says)
		}
	}
}
