package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// running is a suite in this process with a client of it.
type running struct {
	*client.Client
	addr string
}

// run runs all services until the test ends; redis is a URL, empty: blocks in memory.
func run(t *testing.T, redis string) running {
	t.Helper()
	return runWith(t, func(c *suite.Config) { c.Redis = config.NewSecret(redis) })
}

// runWith is run with another configuration.
func runWith(t *testing.T, change func(*suite.Config)) running {
	t.Helper()
	cfg := suite.Default()
	cfg.Listen, cfg.HTTP, cfg.DataDir = "127.0.0.1:0", "none", t.TempDir()
	change(&cfg)
	s, err := suite.New(cfg, suite.Deps{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop the suite: %v", err)
		}
	})
	wait, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if err := s.Wait(wait); err != nil {
		t.Fatal(err)
	}
	conn := s.Local()
	return running{client.New(client.Conns{Profile: conn, Segment: conn, Persona: conn, Campaign: conn}, client.Config{}), s.Addr()}
}

// do runs a command line; its words are separated by spaces, or by '|' where one holds spaces.
func (r running) do(t *testing.T, line string) said {
	t.Helper()
	args := strings.Fields(line)
	if strings.Contains(line, "|") && !strings.Contains(line, "||") {
		args = strings.Split(line, "|")
	}
	return say(t, r.Client, "", args...)
}

// count runs `audience count` with arguments and returns the count.
func (r running) count(t *testing.T, args ...string) int {
	t.Helper()
	got := decode(t, say(t, r.Client, "", append([]string{"audience", "count", "-o", "json"}, args...)...).must(t))
	n, err := strconv.Atoi(got["count"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const mappings = "../../../../docs/examples/mappings/"

// question is a question on the command line with its answer, which another program computed.
type question struct {
	want int
	args []string
}

func ask(t *testing.T, r running, questions []question) {
	t.Helper()
	for _, q := range questions {
		if got := r.count(t, q.args...); got != q.want {
			t.Errorf("%q: %d, want %d", q.args, got, q.want)
		}
	}
}

var customerQuestions = []question{
	{2240, nil},
	{231, []string{
		"--income", "50000-",
		"--filter", `custom.degree in ["Master", "PhD"] && custom.marital_stated in ["Married", "Together"] && custom.wines > 300`,
	}},
	{81, []string{
		"--as-of", "2014-12-31", "--age", "30-39", "--filter", `custom.kids == 0 && custom.teens == 0 && custom.web_purchases >= 4`,
	}},
	{81, []string{"--as-of", "2014-12-31", "--age", "30-39", "--filter", `custom.children == 0 && custom.web_purchases >= 4`}},
	{334, []string{"--filter", `custom.response`}},
	{1777, []string{"--filter", `custom.accepted_count == 0`}},
	{325, []string{"--filter", `custom.accepted_count == 1`}},
	{83, []string{"--filter", `custom.accepted_count == 2`}},
	{44, []string{"--filter", `custom.accepted_count == 3`}},
	{11, []string{"--filter", `custom.accepted_count == 4`}},
	{0, []string{"--filter", `has(custom.degree) && !has(income) && (income > 0 || income <= 0)`}},
	{24, []string{"--filter", `has(custom.degree) && !has(income)`}},
}

// The other files, which are larger, are asked by the tests of the whole suite.
func TestARealCustomerFileIsAnsweredExactly(t *testing.T) {
	for _, where := range []string{"memory", "redis"} {
		t.Run(where, func(t *testing.T) {
			file := testkit.SharedData(t, "customer_personality", "marketing_campaign.csv")
			url := ""
			if where == "redis" {
				url = "redis://" + testkit.Redis(t)
			}
			r := run(t, url)
			if got := decode(t, r.do(t, "import -o json -m "+mappings+"customer-personality.yaml --timeout 3m "+file).must(t)); got["created"] != 2240.0 {
				t.Fatalf("imported %v", got)
			}
			ask(t, r, customerQuestions)
			// On another day than 31 December a year alone does not give one age: whose bound falls inside it is left out.
			whole, half := r.count(t, "--as-of", "2014-12-31", "--age", "30-39"), r.count(t, "--as-of", "2014-06-30", "--age", "30-39")
			sure := r.count(t, "--as-of", "2014-12-31", "--age", "31-39")
			if half != sure || half >= whole {
				t.Errorf("30-39 on 30 June: %d, want the %d who are so whatever their birthday; on 31 December %d", half, sure, whole)
			}
		})
	}
}

// write writes a file of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportTellsWhatItRejectsAndResumes(t *testing.T) {
	r := run(t, "")
	m := write(t, "m.yaml", "attributes: {n: decimal}\nprofile: {external_id: {column: id, source: crm}, region: r, custom.n: n, occupation: o}")
	long := strings.Repeat("x", 201) // the contract takes 200 characters
	file := write(t, "f.csv", "id,r,n,o\n1,FR,1,a\n2,Atlantis,2,b\n3,FR,x,c\n\"4,FR,1,d\n5,FR,5,"+long+"\n6,FR\n7,FR-40,7,e")
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	line := "import -o json --mapping " + m + " --reject " + rejects + " --reject-rows " + file
	got := decode(t, r.do(t, line).must(t))
	if got["created"] != 2.0 || got["rejected_by_mapping"] != 4.0 || got["rejected_by_service"] != 1.0 {
		t.Errorf("imported %v", got)
	}
	text, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"line,reason,field,message,row\n", "3,UNKNOWN_REGION,region,", "4,INVALID_NUMBER,custom.n,", "5,BROKEN_QUOTE,,", "7,WRONG_FIELD_COUNT,,", "\n6,VALIDATION_FAILED,"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the reject file lacks %q:\n%s", want, text)
		}
	}
	if n := r.count(t); n != 2 {
		t.Errorf("%d profiles, want the 2 good rows", n)
	}
	again := decode(t, r.do(t, line).must(t))
	if again["created"] != 2.0 || again["resumed_from"] != again["committed_through"] {
		t.Errorf("the same import again: %v", again)
	}
	other := decode(t, r.do(t, line+" --import-id another").must(t))
	if other["created"] != 0.0 || other["unchanged"] != 2.0 {
		t.Errorf("the same file as another import: %v", other)
	}
	if n := r.count(t); n != 2 {
		t.Errorf("%d profiles after importing three times, want 2", n)
	}
	dry := decode(t, r.do(t, line+" --dry-run --import-id dry").must(t))
	if dry["committed_through"] != 3.0 || dry["dry_run"] != true {
		t.Errorf("dry run: %v", dry)
	}
	if got := r.do(t, "import --mapping "+write(t, "bad.yaml", "profile: {regoin: r}")+" "+file); got.code != cli.ExitError || !strings.Contains(got.err, "MAPPING_INVALID") || !strings.Contains(got.err, "line 1") {
		t.Errorf("a wrong mapping: %d %s", got.code, got.err)
	}
	clash := write(t, "clash.yaml", "attributes: {n: bool}\nprofile: {custom.n: n}")
	if got := r.do(t, "import --mapping "+clash+" "+file); got.code != cli.ExitError || !strings.Contains(got.err, "attributes.n.type") {
		t.Errorf("an attribute of another type: %d %s", got.code, got.err)
	}
}

func TestImportTellsWhatJobTitlesSaid(t *testing.T) {
	r := run(t, "")
	m := write(t, "m.yaml", "profile: {external_id: {column: id, source: crm}, job_level: {column: title, from: job_title, occupation: true}}")
	line := "import --mapping " + m + " " + write(t, "f.csv", "id,title\n1,Vice President of Sales\n2,Account Manager\n3,Welder\n4,\n")
	if dry := r.do(t, line+" --dry-run").must(t); !strings.Contains(dry, "1 job titles read as a level, 1 below the confidence, 1 without a level") {
		t.Errorf("a dry run says %s", dry)
	}
	got := decode(t, r.do(t, line+" -o json").must(t))
	titles, _ := got["job_titles"].(map[string]any)
	if got["created"] != 4.0 || titles["read"] != 1.0 || titles["below_confidence"] != 1.0 || titles["unknown"] != 1.0 {
		t.Errorf("the import says %v", got)
	}
	again := decode(t, r.do(t, line+" -o json").must(t))
	if titles, _ := again["job_titles"].(map[string]any); again["resumed_from"] != 4.0 || titles["read"] != 1.0 {
		t.Errorf("the same import again says %v", again)
	}
	if text := r.do(t, "profile list").must(t); !strings.Contains(text, "vp") {
		t.Errorf("no profile has the level: %s", text)
	}
}

func TestVerbsOverAllServices(t *testing.T) {
	r := run(t, "")
	file := write(t, "p.json", `{"given_name": "Zoé", "birth_date": {"year": 1995, "month": 3, "day": 1}, "region": "FR-40", "job_level": "JOB_LEVEL_DIRECTOR",
		"interests": {"values": ["cycling"]}, "consents": [{"purpose": "CONSENT_PURPOSE_MARKETING", "channel": "CHANNEL_EMAIL", "status": "CONSENT_STATUS_GRANTED"}]}`)
	p := decode(t, r.do(t, "profile create -o json "+file).must(t))
	name, _ := p["name"].(string)
	for _, step := range []struct {
		line string
		says string // in what it prints
	}{
		{"profile get " + name, "director"},
		{"profile list", "Zoé"},
		{"attribute create tier --type string --allowed gold,silver", "custom.tier"},
		{"attribute update tier --allow basic", "gold, silver, basic"},
		{"attribute list", "tier"},
		{"profile|update|" + name + "|" + write(t, "u.json", `{"custom": {"tier": {"text": "gold"}}}`) + "|--mask|custom.tier", "gold"},
		{`segment|create|leaders|--rule|job_level >= "director"|--description|who leads`, "active"},
		{`segment|create|young-leaders|--rule|segment("segments/leaders") && age() < 60`, "segments/leaders"},
		{"segment create listed --static", "static list of 0"},
		{"segment add listed " + name, "static list of 1"},
		{"segment list", "young-leaders"},
		{`segment|preview|custom.tier == "gold"`, "1 of 1 people"},
		{"segment breakdown leaders --by job_level,age", "director"},
		{"persona generate camille --segment leaders --display-name Camille", "Camille"},
		{"persona|update|camille|--narrative|Rides to work.|--goal|More time", "Rides to work."},
		{"persona list", "camille"},
		{"audience|save|micro|--region|FR-NAQ|--min-job-level|director|--channel|email|--segment|leaders,listed|--persona|camille", "FR-NAQ"},
		{"audience list", "micro"},
		{"audience count micro", "everyone"},
		{"audience members micro", name},
		{"audience members micro --show", "Zoé"},
		{"audience explain " + name + " micro", "is a member"},
		{"audience explain " + name + " --education master", "a value is missing"},
		{"audience breakdown micro --by job_level --by age=18,35,65 --by region=FR,DE", "director   18-34  FR"},
		{"audience overlap micro segments/leaders", "100.0"},
		{"profile segments " + name, "segments/leaders segments/listed"},
		{"profile segments " + name + " --in leaders,young-leaders", "segments/leaders"},
		{"campaign create launch --objective growth --audience micro --budget EUR:5000 --channel email --start 2027-01-01", "5000"},
		{"campaign update launch --end 2027-02-01", "2027-02-01"},
		{"campaign list", "micro"},
		{"segment|update|leaders|--rule|job_level == \"owner\"", "owner"},
		{"audience count micro", "0"},
		{"campaign delete launch", "deleted"},
		{"audience delete micro", "deleted"},
		{"persona delete camille", "deleted"},
		{"segment remove listed " + name, "static list of 0"},
		{"segment delete young-leaders", "deleted"},
		{"profile delete " + name, "deleted"},
	} {
		if got := r.do(t, step.line); got.code != cli.ExitOK || !strings.Contains(got.out, step.says) {
			t.Fatalf("%s: code %d, want %q in\n%s%s", step.line, got.code, step.says, got.out, got.err)
		}
	}
	if n := r.count(t); n != 0 {
		t.Errorf("%d people are left", n)
	}
}

func TestWrongQuestionsAreAnsweredWithFieldReasonAndWhatToDo(t *testing.T) {
	r := run(t, "")
	for _, c := range []struct{ line, reason, field string }{
		{"audience count --region FR-XYZ", "UNKNOWN_REGION", "spec.regions[0]"},
		{"audience count --age 40-30", "INVALID_RANGE", "spec.age"},
		{"audience count --filter custom.nothing>1", "RULE_UNKNOWN_ATTRIBUTE", "filter"},
		{"audience|count|--filter|age() > \"x\"", "RULE_TYPE", "filter"},
		{"audience count --segment nobody", "UNKNOWN_SEGMENT", "spec.all_segments[0]"},
		{"audience count --persona nobody", "UNKNOWN_PERSONA", "spec.personas[0]"},
		{"audience count nobody", "AUDIENCE_NOT_FOUND", ""},
		{"segment|create|bad|--rule|job_level >=", "RULE_SYNTAX", "rule"},
		{"segment get nobody", "SEGMENT_NOT_FOUND", ""},
		{"persona get nobody", "PERSONA_NOT_FOUND", ""},
		{"campaign get nobody", "CAMPAIGN_NOT_FOUND", ""},
		{"attribute get nobody", "ATTRIBUTE_NOT_FOUND", ""},
		{"profile get 01a20185-b13d-7024-a1a1-4233a1361577", "PROFILE_NOT_FOUND", ""},
		{"profile get x", "VALIDATION_FAILED", "name"},
	} {
		got := r.do(t, c.line)
		if got.code != cli.ExitError || !strings.Contains(got.err, c.reason) || !strings.Contains(got.err, c.field) {
			t.Errorf("%s: code %d, %s; want %s at %s", c.line, got.code, got.err, c.reason, c.field)
		}
	}
	r.do(t, "segment create a --static").must(t)
	r.do(t, `segment|create|b|--rule|segment("segments/a")`).must(t)
	r.do(t, `segment|create|c|--rule|segment("segments/b")`).must(t)
	if got := r.do(t, `segment|update|b|--rule|segment("segments/c")`); got.code != cli.ExitError || !strings.Contains(got.err, "SEGMENT_CYCLE") || !strings.Contains(got.err, "segments/c") {
		t.Errorf("a cycle: code %d, %s", got.code, got.err)
	}
}

func TestTheNetworkAndTheAddressFlagWork(t *testing.T) {
	r := run(t, "")
	if got := say(t, nil, "", "segment", "list", "--addr", r.addr); got.code != cli.ExitOK || !strings.Contains(got.out, "segment") {
		t.Errorf("code %d, %s%s", got.code, got.out, got.err)
	}
}

func TestDemoShowsAnAudienceWhoseCountIsTheNumberOfIDs(t *testing.T) {
	got := say(t, nil, "", "demo", "--once", "--people", "6000", "--listen", "127.0.0.1:0", "--ops-listen", "none", "--data-dir", t.TempDir())
	out := got.must(t)
	for _, want := range []string{"6,000 people", "persona   camille", "campaign  gravel-launch", "interest cycling", "ten of them"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not print %q:\n%s", want, out)
		}
	}
	_, numbers, found := strings.Cut(out, "\ncount ")
	count, ids, both := strings.Cut(strings.TrimSpace(numbers), ", streamed ids ")
	if !found || !both || count != ids {
		t.Errorf("count %q, ids %q", count, ids)
	}
}

func TestDemoDoesNotRemoveAFolderOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := say(t, nil, "", "demo", "--once", "--data-dir", dir); got.code != cli.ExitUsage {
		t.Errorf("code %d, %s", got.code, got.err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the file is gone")
	}
}
