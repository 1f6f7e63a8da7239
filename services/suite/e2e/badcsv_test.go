package e2e_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
)

const brokenMapping = `
description: rows of which some are broken
file: {separator: ","}
attributes:
  score: {type: decimal, scale: 0, description: a score}
profile:
  external_id: {column: id, source: rows}
  region: region
  custom: {score: score}
`

// Lines 3 to 5 are wrong in three ways, line 7 changes the profile of line 2, and the quote of line 8 is never closed; line 9 is
// right again.
const brokenRows = "id,region,score\n1,FR,5\n2,XX,6\n3,FR,abc\n4,FR\n5,FR,7\n1,FR-40,9\n\"6,FR,8\n7,FR,8\n"

func TestBrokenRowsAreRejectedWithTheirLineAndTheOthersAreImported(t *testing.T) {
	inShapes(t, func(t *testing.T, st *stack) {
		dir := t.TempDir()
		file := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		rejects := filepath.Join(dir, "rejects.csv")
		run := asProgram(t, st)
		var done struct {
			Created, Updated int
			Refused          int    `json:"rejected_by_mapping"`
			Token            string `json:"consistency_token"`
		}
		text := run(t, "import", file("rows.csv", brokenRows), "--mapping="+file("mapping.yaml", brokenMapping), "--reject="+rejects, "-o", "json")
		if err := json.Unmarshal(text, &done); err != nil {
			t.Fatal(err)
		}
		if done.Created != 3 || done.Updated != 1 || done.Refused != 4 {
			t.Errorf("the import ends with %+v; want 3 created, 1 updated, 4 refused", done)
		}
		written, err := os.Open(rejects)
		if err != nil {
			t.Fatal(err)
		}
		defer written.Close()
		table, err := csv.NewReader(written).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, record := range table[1:] {
			got = append(got, record[:3]) // the message is for people
			if record[3] == "" {
				t.Errorf("the rejected line %s has no message", record[0])
			}
		}
		want := [][]string{{"3", "UNKNOWN_REGION", "region"}, {"4", "INVALID_NUMBER", "custom.score"}, {"5", "WRONG_FIELD_COUNT", ""}, {"8", "BROKEN_QUOTE", ""}}
		if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Errorf("the rejected rows are %v; want %v", got, want)
		}
		if err := st.Observe(done.Token); err != nil {
			t.Fatal(err)
		}
		if n := everybody(t, st); n != 3 {
			t.Errorf("%d people are there; want the 3 whose rows are right", n)
		}
		res, err := st.Audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{
			Audience: specRef(&campaignv1.AudienceSpec{Regions: []string{"FR-40"}, Filter: "custom.score == 9"}),
		})
		if err != nil || res.GetCount() != 1 {
			t.Errorf("the changed profile: %v, %v; want it counted", res, err)
		}
	})
}
