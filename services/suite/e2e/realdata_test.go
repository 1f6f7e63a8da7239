package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// row is a line of a sample file by the names of its columns.
type row map[string]string

func (r row) int(column string) int {
	n, err := strconv.Atoi(r[column])
	if err != nil {
		return -1 << 30
	}
	return n
}

// ask is a question to a data set. Want is the published answer; where there is none, matches says what the file itself says.
type ask struct {
	name    string
	flags   []string
	want    int
	matches func(r row) bool
}

// dataset is a file that nobody here made, with the mapping that ships for it.
type dataset struct {
	file    []string
	mapping string
	comma   rune
	rows    int
	asks    []ask
}

var datasets = map[string]dataset{
	"bank marketing": {
		file: []string{"bank_marketing", "bank-full.csv.gz"}, mapping: "bank-marketing.yaml", comma: ';', rows: 45211,
		asks: append([]ask{
			{name: "30-39, management, yes", flags: []string{"--age=30-39", "--as-of=2010-12-31", `--filter=custom.job == "management" && custom.y`}, want: 587},
			{name: "students, retired or below 25, no loans, known contact", want: 2085, flags: []string{"--as-of=2010-12-31",
				`--filter=(custom.job in ["student", "retired"] || age() < 25) && !custom.housing && !custom.loan && custom.contact != "unknown"`}},
			{name: "balance 0..1000, married, tertiary, not management", want: 1535, flags: []string{"--marital-status=married", "--education=tertiary",
				`--filter=custom.balance >= 0 && custom.balance <= 1000 && !(custom.job == "management")`}},
			{name: "success before", flags: []string{`--filter=custom.poutcome == "success"`}, want: 1511},
			{name: "success before and now", flags: []string{`--filter=custom.poutcome == "success" && custom.y`}, want: 978},
			{name: "yes", flags: []string{"--filter=custom.y"}, want: 5289},
			{name: "everybody", want: 45211},
			// On 30 June somebody of whom the year of birth is known is of one of two ages.
			{name: "30 June: surely 30-39", flags: []string{"--age=30-39", "--as-of=2010-06-30", `--filter=custom.job == "management" && custom.y`},
				matches: func(r row) bool {
					return r.int("age") >= 31 && r.int("age") <= 39 && r["job"] == "management" && r["y"] == "yes"
				}},
			{name: "30 June: surely below 25", flags: []string{"--age=-24", "--as-of=2010-06-30"}, matches: func(r row) bool { return r.int("age") <= 24 }},
			{name: "30 June: surely 25 and above", flags: []string{"--age=25-", "--as-of=2010-06-30"}, matches: func(r row) bool { return r.int("age") >= 26 }},
			{name: "30 June: surely not below 25", flags: []string{"--filter=!(age() < 25)", "--as-of=2010-06-30"}, matches: func(r row) bool { return r.int("age") >= 26 }},
			{name: "30 June: surely one or the other", flags: []string{"--filter=age() < 25 || age() >= 25", "--as-of=2010-06-30"},
				matches: func(r row) bool { return r.int("age") != 25 }},
		}, months("mar", 248, 477, "dec", 100, 214, "sep", 269, 579)...),
	},
	"customer personality": {
		file: []string{"customer_personality", "marketing_campaign.csv"}, mapping: "customer-personality.yaml", comma: ';', rows: 2240,
		asks: append([]ask{
			{name: "wine", want: 231, flags: []string{"--marital-status=married,cohabiting", "--income=50000-",
				`--filter=custom.degree in ["Master", "PhD"] && custom.wines > 300`}},
			{name: "30-39, no children, web", want: 81, flags: []string{"--age=30-39", "--as-of=2014-12-31", "--filter=custom.children == 0 && custom.web_purchases >= 4"}},
			{name: "30-39, neither kids nor teens, web", want: 81, flags: []string{"--age=30-39", "--as-of=2014-12-31",
				"--filter=custom.kids == 0 && custom.teens == 0 && custom.web_purchases >= 4"}},
			{name: "response", flags: []string{"--filter=custom.response"}, want: 334},
			{name: "everybody", want: 2240},
			{name: "a missing income matches no comparison", flags: []string{"--filter=income >= 0 || !(income >= 0)"}, matches: func(r row) bool { return r["Income"] != "" }},
			{name: "a missing income is missing", flags: []string{"--filter=!has(income)"}, want: 24},
			{name: "30 June: surely 30-39", flags: []string{"--age=30-39", "--as-of=2014-06-30", "--filter=custom.children == 0 && custom.web_purchases >= 4"},
				matches: func(r row) bool {
					age := 2014 - r.int("Year_Birth")
					return age >= 31 && age <= 39 && r.int("Kidhome")+r.int("Teenhome") == 0 && r.int("NumWebPurchases") >= 4
				}},
		}, accepted(1777, 325, 83, 44, 11)...),
	},
	"complete journey": {
		file: []string{"completejourney", "demographics.csv"}, mapping: "complete-journey.yaml", comma: ',', rows: 801,
		asks: []ask{
			{name: "35-44, married, with children, 50K to 99K", want: 24, flags: []string{
				`--filter=custom.age_band == "35-44" && custom.marital_stated == "Married" && custom.kids != "0" && custom.income_band in ["50-74K", "75-99K"]`}},
			{name: "19-24", want: 46, flags: []string{`--filter=custom.age_band == "19-24"`}},
			{name: "25-34", want: 142, flags: []string{`--filter=custom.age_band == "25-34"`}},
			{name: "35-44", want: 194, flags: []string{`--filter=custom.age_band == "35-44"`}},
			{name: "45-54", want: 288, flags: []string{`--filter=custom.age_band == "45-54"`}},
			{name: "55-64", want: 59, flags: []string{`--filter=custom.age_band == "55-64"`}},
			{name: "65+", want: 72, flags: []string{`--filter=custom.age_band == "65+"`}},
			{name: "everybody", want: 801},
			{name: "marital status not known", flags: []string{"--filter=!has(custom.marital_stated)"}, matches: func(r row) bool { return r["marital_status"] == "NA" }},
		},
	},
}

// months asks how many said yes in a month, of how many.
func months(list ...any) (asks []ask) {
	for triple := range slices.Chunk(list, 3) {
		month, isText := triple[0].(string)
		yes, isInt := triple[1].(int)
		all, isToo := triple[2].(int)
		if !isText || !isInt || !isToo {
			panic("months: a name and two numbers each")
		}
		asks = append(asks,
			ask{name: month + ", yes", flags: []string{`--filter=custom.month == "` + month + `" && custom.y`}, want: yes},
			ask{name: month, flags: []string{`--filter=custom.month == "` + month + `"`}, want: all})
	}
	return asks
}

// accepted asks how many accepted so many campaigns.
func accepted(counts ...int) (asks []ask) {
	for n, want := range counts {
		asks = append(asks, ask{name: "accepted " + strconv.Itoa(n), flags: []string{"--filter=custom.accepted_count == " + strconv.Itoa(n)}, want: want})
	}
	return asks
}

// narrowcast runs a command line and returns what it printed.
type narrowcast func(t *testing.T, args ...string) []byte

// asProgram runs the built program against the stack's addresses.
func asProgram(t testing.TB, st *stack) narrowcast {
	path := builds.path(t, "narrowcast")
	return func(t *testing.T, args ...string) []byte {
		t.Helper()
		for _, target := range targets {
			args = append(args, "--"+target+"-addr="+st.addr[target])
		}
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnv(), &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("narrowcast %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
		}
		return out.Bytes()
	}
}

// Every answer that was computed outside the project comes out of the command line, in memory and on Redis.
func TestRealDataIsAnsweredExactly(t *testing.T) {
	t.Parallel()
	for name, d := range datasets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := testkit.SharedData(t, d.file...)
			rows := readRows(t, file, d.comma)
			if len(rows) != d.rows {
				t.Fatalf("the file has %d rows; want %d", len(rows), d.rows)
			}
			t.Run("in memory", func(t *testing.T) {
				o := options{}.filled(t)
				p := startProcess(t, o.logs, "narrowcast", append([]string{"up"}, serveFlags(o.dataDir)...)...)
				d.answers(t, asProgram(t, connect(t, p, o)), file, rows)
			})
			t.Run("on Redis", func(t *testing.T) {
				st := fourProcesses(t, options{redis: "redis://" + testkit.RedisPrivate(t).Addr + "/0"})
				d.answers(t, asProgram(t, st), file, rows)
			})
		})
	}
}

// answers imports the file, twice, and asks all questions.
func (d dataset) answers(t *testing.T, run narrowcast, file string, rows []row) {
	mapping := filepath.Join("..", "..", "..", "docs", "examples", "mappings", d.mapping)
	var done struct {
		Created   int `json:"created"`
		Committed int `json:"committed_through"`
		Rejected  int `json:"rejected_by_service"`
		Refused   int `json:"rejected_by_mapping"`
		Resumed   int `json:"resumed_from"`
	}
	read := func(text []byte, v any) {
		t.Helper()
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatalf("read the answer: %v\n%s", err, text)
		}
	}
	read(run(t, "import", file, "--mapping="+mapping, "-o", "json", "--timeout=2m"), &done)
	if done.Created != d.rows || done.Committed != d.rows || done.Rejected != 0 || done.Refused != 0 {
		t.Fatalf("the import ends with %+v; want %d created, none rejected", done, d.rows)
	}
	read(run(t, "import", file, "--mapping="+mapping, "-o", "json"), &done)
	if done.Created != d.rows || done.Resumed != d.rows {
		t.Errorf("the same import again ends with %+v; want it to go on behind the last row", done)
	}
	for _, q := range d.asks {
		want := q.want
		if q.matches != nil {
			for _, r := range rows {
				if q.matches(r) {
					want++
				}
			}
		}
		var answer struct {
			Count string `json:"count"`
			Steps []struct {
				Count string `json:"count"`
			} `json:"steps"`
		}
		read(run(t, append([]string{"audience", "count", "-o", "json"}, q.flags...)...), &answer)
		if answer.Count != strconv.Itoa(want) {
			t.Errorf("%s: %s; want %d", q.name, answer.Count, want)
		}
		if n := len(answer.Steps); n == 0 || answer.Steps[0].Count != strconv.Itoa(d.rows) || answer.Steps[n-1].Count != answer.Count {
			t.Errorf("%s: the narrowing %v does not lead from %d to %s", q.name, answer.Steps, d.rows, answer.Count)
		}
	}
	// What is counted is what is streamed.
	var stream struct {
		Members []string
	}
	q := d.asks[0]
	read(run(t, append([]string{"audience", "members", "-o", "json"}, q.flags...)...), &stream)
	slices.Sort(stream.Members)
	if len(slices.Compact(stream.Members)) != q.want {
		t.Errorf("%s: %d different members are streamed; want %d", q.name, len(stream.Members), q.want)
	}
}

// readRows reads a sample file as it is, by other code than the product's.
func readRows(t *testing.T, path string, comma rune) []row {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var in io.Reader = bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))
	if filepath.Ext(path) == ".gz" {
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatal(err)
		}
	}
	reader := csv.NewReader(in)
	reader.Comma = comma
	all, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, fields := range all[1:] {
		r := row{}
		for i, column := range all[0] {
			r[column] = fields[i]
		}
		rows = append(rows, r)
	}
	return rows
}
