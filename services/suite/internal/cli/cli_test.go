package cli_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// said is what a command line said.
type said struct {
	out, err string
	code     int
}

// say runs a command line over ready connections; nil: over the addresses in its flags.
func say(t *testing.T, c *client.Client, stdin string, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Client: c, Version: "test",
	}, args)
	return said{out.String(), errs.String(), code}
}

func (s said) must(t *testing.T) string {
	t.Helper()
	if s.code != cli.ExitOK {
		t.Fatalf("exit code %d: %s%s", s.code, s.err, s.out)
	}
	return s.out
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return v
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, verb := range []string{
		"", "up", "migrate", "backup", "restore", "doctor", "demo", "bench", "import", "audience", "audience count", "audience members", "audience explain", "audience list", "audience get",
		"audience save", "audience delete", "audience breakdown", "audience overlap", "profile segments", "segment create", "segment list", "segment get", "segment update", "segment delete",
		"segment preview", "segment breakdown", "segment add", "segment remove", "persona generate", "persona create", "persona list",
		"persona get", "persona update", "persona delete", "campaign create", "campaign list", "campaign get", "campaign update",
		"campaign delete", "profile get", "profile list", "profile create", "profile update", "profile delete", "profile resolve", "profile merge",
		"profile unmerge", "profile export", "event record", "event import", "event list", "event delete", "attribute create",
		"attribute list", "attribute get", "attribute update", "keys create", "keys list", "keys add", "keys promote", "keys disable",
		"keys enable", "keys remove", "completion", "version",
	} {
		got := say(t, nil, "", append(strings.Fields(verb), "--help")...)
		if got.code != cli.ExitOK || !strings.Contains(got.out, "Usage: narrowcast "+verb) {
			t.Errorf("%q --help: code %d, %.80s%s", verb, got.code, got.out, got.err)
		}
	}
}

func TestMigrateTellsTheVersionsBeforeAndAfter(t *testing.T) {
	dir := t.TempDir()
	const targets = "--target=segment,persona,campaign"
	first := say(t, nil, "", "migrate", "--data-dir="+dir, targets, "--migrate=never", "-o", "json").must(t)
	var done []map[string]any
	if err := json.Unmarshal([]byte(first), &done); err != nil || len(done) != 3 {
		t.Fatalf("%v: %s", err, first)
	}
	for i, service := range []string{"segment", "persona", "campaign"} {
		if done[i]["service"] != service || done[i]["before"] != 0.0 || done[i]["after"] != 1.0 {
			t.Errorf("%s: %v", service, done[i])
		}
	}
	again := say(t, nil, "", "migrate", "--data-dir="+dir, targets).must(t)
	if lines := strings.Split(strings.TrimSpace(again), "\n"); len(lines) != 4 || strings.Count(again, "was up to date") != 3 {
		t.Errorf("the second time:\n%s", again)
	}
	if got := say(t, nil, "", "migrate", "--target=gateway"); got.code == cli.ExitOK || !strings.Contains(got.err, "gateway") {
		t.Errorf("an unknown target: %d, %s", got.code, got.err)
	}
	if got := say(t, nil, "", "up", "--migrate=perhaps"); got.code != cli.ExitUsage || !strings.Contains(got.err, "auto") {
		t.Errorf("an unknown policy: %d, %s", got.code, got.err)
	}
}

func TestOneServiceRunsWithTheAddressOfItsNeighbour(t *testing.T) {
	got := say(t, nil, "", "up", "--target=persona", "--allow-sqlite", "--segment-addr=127.0.0.1:1", "--data-dir="+t.TempDir(),
		"--ops-listen=none", "--listen=nowhere")
	if got.code != cli.ExitError || !strings.Contains(got.err, "--listen=nowhere") {
		t.Errorf("it gets as far as its own address: code %d, %s", got.code, got.err)
	}
}

func TestWhatIsNotUnderstoodExitsWithTwo(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"", "expected one of"},
		{"frobnicate", "unexpected argument"},
		{"audience count --nonsense", "unknown flag"},
		{"segment create", "expected"},
		{"segment create x", "--rule or --static"},
		{"segment create x --static --rule true", "--rule or --static"},
		{"segment update x", "nothing to change"},
		{"segment breakdown x --by age --rule true", "not both"},
		{"segment breakdown", "--by"},
		{"audience count saved --region FR", "not both"},
		{"audience count --consistency sometimes", "minimize_latency"},
		{"audience count --consistency max-staleness:soon", "500ms"},
		{"audience count --consistency full --at-least x", "different things"},
		{"audience members --limit=-1", "0 or more"},
		{"audience count --spec /no/such/file", "no such file"},
		{"audience count -o xml", "must be one of"},
		{"campaign create x --objective growth", "--audience"},
		{"attribute create x --type number", "must be one of"},
		{"profile list --limit 0", "1 to 1000"},
		{"import /no/such/file", "--mapping"},
		{"keys create", "<file>"},
		{"keys add keys.json", "--kind"},
		{"keys add keys.json --kind house", "must be one of"},
		{"keys promote keys.json --kind index", "--id"},
		{"keys remove keys.json --kind index --id=-1", "--id"},
		{"up --target gateway", "gateway"},
		{"up --target profile", "allow-sqlite"},
	} {
		got := say(t, nil, "", strings.Fields(c.line)...)
		if got.code != cli.ExitUsage || !strings.Contains(got.err, c.says) {
			t.Errorf("%q: code %d, %s; want 2 and %q", c.line, got.code, got.err, c.says)
		}
		if !strings.Contains(got.err, "next") {
			t.Errorf("%q: nothing says what to do next: %s", c.line, got.err)
		}
	}
}

func TestWrongValuesAreNamedByFieldAndReasonBeforeAnythingIsSent(t *testing.T) {
	for _, c := range []struct{ line, field, reason string }{
		{"audience count --job-level boss", "spec.job_levels[0]", "UNKNOWN_JOB_LEVEL"},
		{"audience count --min-job-level boss", "spec.min_job_level", "UNKNOWN_JOB_LEVEL"},
		{"audience count --gender x,female", "spec.genders[0]", "UNKNOWN_VALUE"},
		{"audience count --channel fax", "spec.channel", "UNKNOWN_VALUE"},
		{"audience count --purpose fun", "spec.purposes[0]", "UNKNOWN_VALUE"},
		{"audience count --age young", "spec.age", "INVALID_NUMBER"},
		{"audience count --age -", "spec.age", "INVALID_NUMBER"},
		{"audience count --income lots", "spec.income", "INVALID_NUMBER"},
		{"audience count --as-of 2014-02-30", "spec.as_of", "INVALID_DATE"},
		{"campaign create x --objective fun --audience a", "campaign.objective", "UNKNOWN_VALUE"},
		{"campaign create x --objective growth --audience a --budget 5000", "campaign.budget", "INVALID_NUMBER"},
		{"persona generate x --segment s --kind hero", "persona.kind", "UNKNOWN_VALUE"},
	} {
		got := say(t, nil, "", append(strings.Fields(c.line), "-o", "json")...)
		if got.code != cli.ExitError {
			t.Errorf("%q: code %d, %s", c.line, got.code, got.err)
			continue
		}
		err, _ := decode(t, got.err)["error"].(map[string]any)
		fields, _ := err["fields"].([]any)
		if len(fields) != 1 {
			t.Errorf("%q: fields %v", c.line, fields)
			continue
		}
		field, _ := fields[0].(map[string]any)
		reason, _ := field["reason"].(string)
		if reason == "" {
			reason, _ = err["reason"].(string)
		}
		if field["field"] != c.field || reason != c.reason || err["kind"] != "invalid" {
			t.Errorf("%q: %v, want %s at %s", c.line, err, c.reason, c.field)
		}
	}
}

func TestAServiceThatIsNotThereIsSaidWithWhatToDo(t *testing.T) {
	// Port 1 of the own machine is never served.
	got := say(t, nil, "", "audience", "count", "--addr", "127.0.0.1:1", "--timeout", "20s")
	if got.code != cli.ExitError || !strings.Contains(got.err, "SERVER_UNREACHABLE") || !strings.Contains(got.err, "narrowcast up") {
		t.Errorf("code %d, %s", got.code, got.err)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if got := say(t, nil, "", "version").must(t); got != "narrowcast test\n" {
		t.Errorf("version: %q", got)
	}
	if got := decode(t, say(t, nil, "", "version", "-o", "json").must(t)); got["version"] != "test" {
		t.Errorf("version as JSON: %v", got)
	}
	if got := say(t, nil, "", "completion", "bash").must(t); !strings.Contains(got, "completion -c bash") {
		t.Errorf("completion: %q", got)
	}
}
