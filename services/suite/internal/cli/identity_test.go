package cli_test

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

const adsConsents = `"consents": [{"purpose": "CONSENT_PURPOSE_ADS_PERSONALISATION", "status": "CONSENT_STATUS_GRANTED"}, {"purpose": "CONSENT_PURPOSE_ADS_USER_DATA", "status": "CONSENT_STATUS_GRANTED"}]`

func TestProfilesAreFoundMergedAndParted(t *testing.T) {
	r := run(t, "")
	ada := r.makeProfile(t, `{"occupation": "smith", "identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": "ada@example.com"}, {"kind": "IDENTIFIER_KIND_EXTERNAL_ID", "source": "crm", "value": "A1"}]}`)
	other := r.makeProfile(t, `{"region": "FR", "identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": "countess@example.com"}]}`)
	for _, line := range []string{"profile resolve email=ADA@example.com", "profile resolve --source crm external_id=A1"} {
		if got := r.do(t, line).must(t); got != ada+"\n" {
			t.Errorf("%s: %q, want %q", line, got, ada)
		}
	}
	if got := decode(t, r.do(t, "profile resolve -o json email=ada@example.com").must(t)); got["profile"] != ada {
		t.Errorf("as JSON: %v", got)
	}
	nobody := r.do(t, "profile resolve email=nobody@example.com")
	if nobody.code != cli.ExitError || !strings.Contains(nobody.err, "PROFILE_NOT_FOUND") || strings.Contains(nobody.err, "nobody@") {
		t.Errorf("nobody: %d %s", nobody.code, nobody.err)
	}
	got := say(t, r.Client, "kind,source,value\nemail,,countess@example.com\nexternal_id,crm,A1\nemail,,nobody@example.com\n", "profile", "resolve", "--file", "-", "-o", "json").must(t)
	var found []string
	for _, result := range decode(t, got)["results"].([]any) {
		names := []string{}
		for _, n := range result.(map[string]any)["profiles"].([]any) {
			names = append(names, n.(string))
		}
		found = append(found, strings.Join(names, " "))
	}
	if !slices.Equal(found, []string{other, ada, ""}) {
		t.Errorf("the file leads to %q", found)
	}
	for _, c := range []struct{ stdin, line, says string }{
		{"", "profile resolve", "--file"},
		{"kind\nemail\n", "profile resolve --file -", "value"},
		{"kind,value\nmail,x\n", "profile resolve --file -", "line 2"},
		{"", "profile merge a b --policy best", "most-recent"},
		{"", "profile export --to facebook", "must be one of"},
		{"nobody\n", "profile export --to raw", "line 1"},
		{"", "event record x --kind visit", "--identifier"},
		{"", "event record x --kind visit --profile a --time-zone Local", "--time-zone"},
		{"", "event list --limit 0 a", "1 to 1000"},
		{"", "event delete a", "events/ID"},
		{"", "event import x.jsonl --set kind=visit", "no columns"},
		{"", "event import x.csv --separator ab", "one character"},
	} {
		if got := say(t, r.Client, c.stdin, strings.Fields(c.line)...); got.code != cli.ExitUsage || !strings.Contains(got.err, c.says) {
			t.Errorf("%q: %d %s, want %q", c.line, got.code, got.err, c.says)
		}
	}
	wrong := r.do(t, "profile resolve mail=ada@example.com")
	if wrong.code != cli.ExitError || !strings.Contains(wrong.err, "identifiers[0]") || strings.Contains(wrong.err, "mail=ada@example.com\n") {
		t.Errorf("an unknown kind: %d %s", wrong.code, wrong.err)
	}

	merged := r.do(t, "profile merge "+ada+" "+other)
	if out := merged.must(t); !strings.Contains(out, ada) || !strings.Contains(out, "countess@example.com") || !strings.Contains(merged.err, "narrowcast profile unmerge "+other) {
		t.Errorf("merged:\n%s%s", out, merged.err)
	}
	if got := r.do(t, "profile get "+other).must(t); !strings.Contains(got, ada) {
		t.Errorf("the former name leads to\n%s", got)
	}
	if n := r.count(t); n != 1 {
		t.Errorf("%d people after the merge", n)
	}
	if again := r.do(t, "profile merge "+ada+" "+other); again.code != cli.ExitError || !strings.Contains(again.err, "ALREADY_MERGED") {
		t.Errorf("merged again: %d %s", again.code, again.err)
	}
	if out := r.do(t, "profile unmerge "+other).must(t); !strings.Contains(out, strings.TrimPrefix(ada, "profiles/")) || !strings.Contains(out, strings.TrimPrefix(other, "profiles/")) {
		t.Errorf("parted:\n%s", out)
	}
	if n := r.count(t); n != 2 {
		t.Errorf("%d people after the merge was undone", n)
	}
	if json := decode(t, r.do(t, "profile merge -o json --policy most-trusted "+ada+" "+other).must(t)); json["undo_expire_time"] == "" {
		t.Errorf("merged as JSON: %v", json)
	}
}

func TestIdentifiersAreExportedToWhoHasTheToken(t *testing.T) {
	r := runWith(t, func(c *suite.Config) { c.ExportToken = config.NewSecret("s3cret") })
	full := r.makeProfile(t, `{"region": "FR", "identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": "Ada@example.com"}, {"kind": "IDENTIFIER_KIND_PHONE", "value": "+1 800 555 0100"}], `+adsConsents+`}`)
	silent := r.makeProfile(t, `{"region": "FR", "identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": "silent@example.com"}]}`)
	nothing := r.makeProfile(t, `{"region": "FR", `+adsConsents+`}`)
	names := full + "\n\n " + silent + "\n" + strings.TrimPrefix(nothing, "profiles/") + "\nprofiles/0198a000-0000-7000-8000-000000000001\n"

	for _, token := range [][]string{nil, {"--export-token", "other"}} {
		args := append([]string{"profile", "export", "--to", "raw", "--addr", r.addr}, token...)
		for _, c := range []struct {
			what string
			got  said
		}{{"in the process", say(t, r.Client, names, args...)}, {"over the network", say(t, nil, names, args...)}} {
			if c.got.code != cli.ExitError || !strings.Contains(c.got.err, "GATE_DENIED") || !strings.Contains(c.got.err, "NARROWCAST_EXPORT_TOKEN") || c.got.out != "" {
				t.Errorf("%s, with the token %q: %d %q %s", c.what, token, c.got.code, c.got.out, c.got.err)
			}
		}
	}
	got := say(t, nil, names, "profile", "export", "--to", "meta", "--export-token", "s3cret", "--addr", r.addr)
	rows, err := csv.NewReader(strings.NewReader(got.must(t))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// SHA-256 of ada@example.com and of 18005550100, by another program.
	want := [][]string{
		{"profile", "kind", "source", "value"},
		{full, "email", "", "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72"},
		{full, "phone", "", "92cfdc5fbcd4a20fbe5d3857af6c1aba31762105bba7f21a17155e920653046c"},
	}
	if !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("exported %q, want %q", rows, want)
	}
	if !strings.Contains(got.err, "1 people exported, 1 without consent, 1 without an identifier, 1 not there") {
		t.Errorf("the summary is %q", got.err)
	}
	t.Setenv("NARROWCAST_EXPORT_TOKEN", "s3cret")
	raw := decode(t, say(t, r.Client, names, "profile", "export", "--to", "raw", "--kind", "email", "-o", "json").must(t))
	records, _ := raw["records"].([]any)
	if len(records) != 2 || raw["without_consent"] != "0" || raw["without_identifier"] != "1" || raw["not_found"] != "1" { // who takes what is kept needs no consent to ads
		t.Fatalf("as JSON: %v", raw)
	}
	one, _ := records[0].(map[string]any)
	if ids, _ := one["identifiers"].([]any); one["profile"] != full || len(ids) != 1 || ids[0].(map[string]any)["value"] != "ada@example.com" {
		t.Errorf("the record is %v", one)
	}
	// An audience becomes an export in a pipe.
	members := say(t, r.Client, "", "audience", "members", "--region", "FR").must(t)
	if out := say(t, r.Client, members, "profile", "export", "--to", "google").must(t); strings.Count(out, full) != 2 || strings.Contains(out, silent) {
		t.Errorf("the audience is exported as\n%s", out)
	}
	if out := say(t, r.Client, "", "profile", "export", "--to", "raw").must(t); out != "profile,kind,source,value\n" {
		t.Errorf("nobody is exported as %q", out)
	}
	if out := decode(t, say(t, r.Client, "", "profile", "export", "--to", "raw", "-o", "json").must(t)); len(out["records"].([]any)) != 0 {
		t.Errorf("nobody is exported as %v", out)
	}
}

func TestAnImportNamesItsSourceAndTellsWhatLooksWrong(t *testing.T) {
	r := run(t, "")
	m := write(t, "m.yaml", "profile: {external_id: {column: id, source: crm}, birth_date: born, occupation: o}")
	file := write(t, "f.csv", "id,born,o\n1,1893,smith\n2,1990,baker\n")
	said := r.do(t, "import --source crm --mapping "+m+" "+file)
	if out := said.must(t); !strings.Contains(out, "1 rows are stored as they were given and look wrong: BIRTH_DATE_TOO_EARLY") {
		t.Errorf("imported: %s", out)
	}
	odd := strings.TrimSpace(r.do(t, "profile resolve --source crm external_id=1").must(t))
	if got := r.do(t, "profile get "+odd).must(t); !strings.Contains(got, "BIRTH_DATE_TOO_EARLY") {
		t.Errorf("the profile does not show the warning:\n%s", got)
	}
	if got := r.do(t, "import --source CRM! --import-id x --mapping "+m+" "+file); got.code != cli.ExitError || !strings.Contains(got.err, "source") {
		t.Errorf("a source that is none: %d %s", got.code, got.err)
	}
}
