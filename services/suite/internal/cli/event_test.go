package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// makeProfile creates a profile from JSON and returns its name.
func (r running) makeProfile(t *testing.T, text string) string {
	t.Helper()
	got := decode(t, say(t, r.Client, text, "profile", "create", "-", "-o", "json", "--no-wait").must(t))
	name, _ := got["name"].(string)
	if name == "" {
		t.Fatalf("created %v", got)
	}
	return name
}

func TestEventsAreRecordedListedAndDeleted(t *testing.T) {
	r := run(t, "")
	name := r.makeProfile(t, `{"identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": "ada@example.com"}]}`)
	buy := "event record order-1 --kind purchase --identifier email=ADA@example.com --amount EUR:12.50 --order 1 --brand Acme --channel web --detail shop=12 --time 2026-01-31 --time-zone Europe/Paris"
	if got := r.do(t, buy).must(t); got != name+"/events/order-1 is recorded\n" {
		t.Errorf("recorded: %q", got)
	}
	if got := r.do(t, buy).must(t); !strings.Contains(got, "was there already") {
		t.Errorf("recorded again: %q", got)
	}
	if got := decode(t, r.do(t, "event record visit-1 --kind visit -o json --profile "+name).must(t)); got["consistency_token"] == "" {
		t.Errorf("recorded as JSON: %v", got)
	}
	list := decode(t, r.do(t, "event list -o json "+name).must(t))["events"].([]any)
	if len(list) != 2 {
		t.Fatalf("listed %v", list)
	}
	last, _ := list[1].(map[string]any)
	if last["event_time"] != "2026-01-30T23:00:00Z" || last["details"].(map[string]any)["shop"] != "12" || last["amount"].(map[string]any)["amount"] != "12.50" {
		t.Errorf("the purchase is %v", last)
	}
	if n := r.count(t, "--filter", `purchase.count == 1 && purchase.sum == 12.50`); n != 1 {
		t.Errorf("%d people have bought once", n)
	}
	if got := r.do(t, "profile get "+name).must(t); !strings.Contains(got, "purchases") || !strings.Contains(got, "12.50 EUR") || !strings.Contains(got, "Acme") {
		t.Errorf("the profile does not show what was bought:\n%s", got)
	}
	page := r.do(t, "event list --limit 1 "+name)
	if out := page.must(t); !strings.Contains(out, "visit-1") || strings.Contains(out, "order-1") || !strings.Contains(page.err, "--page-token=") {
		t.Errorf("the first page:\n%s%s", out, page.err)
	}
	r.do(t, "event delete "+name+" order-1").must(t)
	if got := r.do(t, "event delete "+name+"/events/order-1"); got.code != cli.ExitError || !strings.Contains(got.err, "EVENT_NOT_FOUND") {
		t.Errorf("deleted again: %d %s", got.code, got.err)
	}
	if n := r.count(t, "--filter", "purchase.count == 0"); n != 1 {
		t.Errorf("%d people have bought nothing", n)
	}
	if got := r.do(t, "event record x --kind visit --identifier email=nobody@example.com"); got.code != cli.ExitError || !strings.Contains(got.err, "PROFILE_NOT_FOUND") || strings.Contains(got.err, "nobody@") {
		t.Errorf("of nobody: %d %s", got.code, got.err)
	}
	if got := r.do(t, "event record x --kind visit --identifier email=nobody --channel fax -o json"); got.code != cli.ExitError || !strings.Contains(got.err, `"field": "channel"`) {
		t.Errorf("a wrong channel: %d %s", got.code, got.err)
	}
}

func TestAFileOfEventsIsImportedOnce(t *testing.T) {
	r := run(t, "")
	file := write(t, "sales.csv", "basket,household,day,sales\n1,A,2026-01-01,3.50\n1,A,2026-01-01,1.00\n2,B,yesterday,9\n3,B,2026-01-03,x\n4,,2026-01-03,1\n5,B,2026-01-04,2\n")
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	line := "event import -o json --id-prefix sales --column order=basket --column identifier=household --column time=day --column amount=sales" +
		" --set kind=purchase --set currency=EUR --set identifier_kind=external_id --set identifier_source=shop --create-profiles --reject " + rejects + " " + file
	got := decode(t, r.do(t, line).must(t))
	if got["recorded"] != 3.0 || got["rejected_by_file"] != 2.0 || got["rejected_by_service"] != 1.0 {
		t.Errorf("imported %v", got)
	}
	text, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"line,reason,field,message\n", "\n4,INVALID_DATE,time,", "\n5,", "\n6,MISSING_VALUE,profile,"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the reject file lacks %q:\n%s", want, text)
		}
	}
	if n := r.count(t, "--filter", "purchase.count == 1"); n != 2 {
		t.Errorf("%d people have one order, want 2", n)
	}
	again := decode(t, r.do(t, line).must(t))
	if again["recorded"] != 3.0 || again["resumed_from"] != again["committed_through"] {
		t.Errorf("the same import again: %v", again)
	}
	other := decode(t, r.do(t, line+" --import-id another").must(t))
	if other["recorded"] != 0.0 || other["duplicates"] != 3.0 {
		t.Errorf("the same file as another import: %v", other)
	}
	dry := decode(t, r.do(t, line+" --import-id dry --dry-run").must(t))
	if dry["committed_through"] != 4.0 || dry["rejected_by_file"] != 2.0 {
		t.Errorf("a dry run: %v", dry)
	}
	lines := write(t, "visits.jsonl", `{"event_id": "v1", "kind": "visit", "event_time": "2026-01-05T00:00:00Z", "identifier": {"kind": "IDENTIFIER_KIND_EXTERNAL_ID", "source": "shop", "value": "A"}}`+"\n{}x\n")
	if out := r.do(t, "event import "+lines).must(t); !strings.Contains(out, "1 events recorded, 0 were there already, 1 rows rejected") {
		t.Errorf("lines of JSON: %s", out)
	}
	if n := r.count(t, "--filter", "visit.count == 1"); n != 1 {
		t.Errorf("%d people have come once, want 1", n)
	}
	if got := r.do(t, "event import "+file); got.code != cli.ExitError || !strings.Contains(got.err, "EVENT_FILE_INVALID") || !strings.Contains(got.err, "column 1") {
		t.Errorf("columns that nobody explained: %d %s", got.code, got.err)
	}
}
