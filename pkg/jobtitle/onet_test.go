package jobtitle_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/jobtitle"
	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// table reads a file of O*NET without its header.
func table(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(testkit.SharedData(t, "occupations", name))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimRight(line, "\r\n"), "\t"))
	}
	return rows[1:]
}

// occupations are the codes of the occupations of each reported title.
func occupations(t *testing.T) map[string][]string {
	codes := map[string][]string{}
	for _, row := range table(t, "onet_Sample of Reported Titles.txt") {
		codes[row[1]] = append(codes[row[1]], row[0])
	}
	if len(codes) < 6000 {
		t.Fatalf("only %d titles were read", len(codes))
	}
	return codes
}

// A share is of how many something is true.
type share struct{ of, all int }

func (s *share) add(is bool) {
	s.all++
	if is {
		s.of++
	}
}

func (s share) rate() float64 { return float64(s.of) / float64(max(1, s.all)) }

func TestLabelledTitles(t *testing.T) {
	known := occupations(t)
	var all, heldOut, sure, sureHeldOut, coverage, sureCoverage, hit share
	buckets := map[int]*share{}
	for i, c := range labelled {
		if known[c.title] == nil {
			t.Errorf("%q is no title of O*NET", c.title)
		}
		r := jobtitle.Read(c.title)
		right := r.Level == c.level
		all.add(right)
		coverage.add(r.Level != "")
		sureCoverage.add(r.Confidence >= jobtitle.Sure)
		if c.level != "" {
			hit.add(right)
		}
		if i%2 == 1 {
			heldOut.add(right)
		}
		if r.Confidence >= jobtitle.Sure {
			sure.add(right)
			if i%2 == 1 {
				sureHeldOut.add(right)
			}
		}
		if r.Level != "" {
			b := min(9, int(r.Confidence*10+1e-9))
			if buckets[b] == nil {
				buckets[b] = &share{}
			}
			buckets[b].add(right)
		}
		if !right {
			t.Logf("%-50s %.2f %s, labelled %q", c.title, r.Confidence, r.Level, c.level)
		}
	}
	t.Logf("%d titles: right %.1f %% (held out %.1f %% of %d); of those with a level %.1f %% are found; a level for %.1f %%, a sure one for %.1f %%",
		all.all, 100*all.rate(), 100*heldOut.rate(), heldOut.all, 100*hit.rate(), 100*coverage.rate(), 100*sureCoverage.rate())
	t.Logf("confidence of %v and more: %d of %d right, held out %d of %d", jobtitle.Sure, sure.of, sure.all, sureHeldOut.of, sureHeldOut.all)
	for b := range 10 {
		if s := buckets[b]; s != nil {
			t.Logf("confidence from 0.%d: %3d of %3d right", b, s.of, s.all)
		}
	}
	if len(labelled) < 150 || sure.all < 80 || sureHeldOut.all < 40 {
		t.Fatalf("%d labels and %d sure answers are too few to say anything", len(labelled), sure.all)
	}
	if sure.rate() < 0.95 || sureHeldOut.rate() < 0.95 {
		t.Errorf("sure answers are right in %.3f, held out in %.3f; want 0.95", sure.rate(), sureHeldOut.rate())
	}
	if heldOut.rate() < 0.9 || hit.rate() < 0.85 {
		t.Errorf("right held out %.3f, found %.3f; want 0.9 and 0.85", heldOut.rate(), hit.rate())
	}
}

// O*NET says independently of the words of a title what kind of occupation it is of: major group 11 is management, and minor
// groups such as 43-1 are first-line supervisors.
func TestManagersAreWhereTheOccupationsSaySo(t *testing.T) {
	supervisors := regexp.MustCompile(`^(33|35|37|39|41|43|45|47|49|51|53)-1`)
	rates := map[string]*share{"management": {}, "first-line supervisors": {}, "others": {}}
	sure := map[string]*share{"management": {}, "first-line supervisors": {}, "others": {}}
	for title, codes := range occupations(t) {
		r := jobtitle.Read(title)
		for _, code := range codes {
			group := "others"
			switch {
			case strings.HasPrefix(code, "11-"):
				group = "management"
			case supervisors.MatchString(code):
				group = "first-line supervisors"
			}
			rates[group].add(rank(r.Level) >= rank("manager"))
			sure[group].add(rank(r.Level) >= rank("manager") && r.Confidence >= jobtitle.Sure)
		}
	}
	for group, s := range rates {
		t.Logf("%s: manager or above %.1f %%, surely %.1f %% of %d titles", group, 100*s.rate(), 100*sure[group].rate(), s.all)
	}
	management, first, others := rates["management"].rate(), rates["first-line supervisors"].rate(), rates["others"].rate()
	// Legislators, farmers, postmasters and the like keep management below 1; agents and coaches with "manager" in their title keep
	// the others above 0.
	if management < 0.75 || first < 0.6 || others > 0.06 {
		t.Errorf("manager or above: management %.3f, supervisors %.3f, others %.3f; want at least 0.75, 0.6 and at most 0.06", management, first, others)
	}
	if s := sure["others"].rate(); s*15 > sure["management"].rate() {
		t.Errorf("surely manager or above are %.3f of the others, %.3f of management: less than 15 times as many", s, sure["management"].rate())
	}
}

func TestJobZonesAgreeWithLevels(t *testing.T) {
	zones := map[string]string{}
	for _, row := range table(t, "onet_Job Zones.txt") {
		zones[row[0]] = row[1]
	}
	simple, leads := map[string]*share{}, map[string]*share{}
	for _, zone := range []string{"1", "2", "3", "4", "5"} {
		simple[zone], leads[zone] = &share{}, &share{}
	}
	for title, codes := range occupations(t) {
		r := jobtitle.Read(title)
		for _, code := range codes {
			zone := zones[code]
			if zone == "" {
				continue
			}
			simple[zone].add(r.Level == "entry" && r.Confidence >= 0.6)
			high := rank(r.Level) >= rank("director") && r.Confidence >= jobtitle.Sure
			leads[zone].add(high)
			if zone == "1" && high {
				t.Errorf("%q needs no preparation (%s) and is surely %s", title, code, r.Level)
			}
		}
	}
	for _, zone := range []string{"1", "2", "3", "4", "5"} {
		t.Logf("zone %s: entry %.1f %%, surely director or above %.1f %% of %d titles", zone, 100*simple[zone].rate(), 100*leads[zone].rate(), leads[zone].all)
	}
	if a, b := simple["2"].rate(), simple["5"].rate(); a < 3*b {
		t.Errorf("entry is %.3f in zone 2 and %.3f in zone 5; want at least three times as much", a, b)
	}
	if a, b := leads["4"].rate()+leads["5"].rate(), leads["2"].rate()+leads["3"].rate(); a < 5*b {
		t.Errorf("director or above is %.3f in zones 4 and 5 and %.3f in zones 2 and 3; want at least five times as much", a, b)
	}
}

// 566 titles are of several occupations, some of them of people who lead and of others who do not: a title does not determine
// the work. What is so mixed must be sure less often than what is only of management.
func TestTitlesOfSeveralOccupations(t *testing.T) {
	leading := regexp.MustCompile(`^(11|(33|35|37|39|41|43|45|47|49|51|53)-1)`)
	several := 0
	var mixed, only share
	for title, codes := range occupations(t) {
		if len(codes) > 1 {
			several++
		}
		inside := 0
		for _, code := range codes {
			if leading.MatchString(code) {
				inside++
			}
		}
		sure := jobtitle.Read(title).Confidence >= jobtitle.Sure
		switch {
		case inside == len(codes):
			only.add(sure)
		case inside > 0:
			mixed.add(sure)
			t.Logf("%q is %+v, in %v", title, jobtitle.Read(title), codes)
		}
	}
	t.Logf("%d titles of several occupations; sure are %.1f %% of %d that only lead, %.1f %% of %d that lead or do not", several,
		100*only.rate(), only.all, 100*mixed.rate(), mixed.all)
	if several != 566 {
		t.Errorf("%d titles are of several occupations; the data's description says 566", several)
	}
	if mixed.all == 0 || mixed.rate() >= only.rate() {
		t.Errorf("sure are %.3f of the mixed titles, %.3f of the others", mixed.rate(), only.rate())
	}
}

func TestChiefOfficersAreAllOfTheHighestLevel(t *testing.T) {
	pattern, n := regexp.MustCompile(`\bChief\b.*\bOfficer\b`), 0
	for title := range occupations(t) {
		if !pattern.MatchString(title) {
			continue
		}
		n++
		if r := jobtitle.Read(title); r.Level != "cxo" || r.Confidence < jobtitle.Sure {
			t.Errorf("%q: %+v", title, r)
		}
	}
	if n < 5 {
		t.Errorf("only %d titles of chief officers were seen", n)
	}
}

// The naive twin looks for one word in the title and knows nothing else. Where no word of context is near, the answers must
// agree.
func TestNaiveTwin(t *testing.T) {
	words := map[string]string{
		"director": "director", "manager": "manager", "supervisor": "manager", "foreman": "manager", "clerk": "entry", "helper": "entry", "aide": "entry",
		"laborer": "entry", "intern": "training", "trainee": "training", "apprentice": "training", "junior": "entry", "vp": "vp",
	}
	context := strings.Fields("assistant associate deputy vice chief executive funeral to of head staff senior lead principal law judicial municipal city town resident president managing")
	agreed, both := 0, 0
	for title := range occupations(t) {
		level, seen := "", 0
		skip := false
		for _, w := range strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if words[w] != "" && words[w] != level {
				level = words[w]
				seen++
			}
			for _, c := range context {
				skip = skip || w == c
			}
		}
		if skip || seen != 1 {
			continue
		}
		both++
		if r := jobtitle.Read(title); r.Level == level {
			agreed++
		} else {
			t.Errorf("%q: %+v; one word says %s", title, r, level)
		}
	}
	t.Logf("%d of %d titles agree", agreed, both)
	if both < 600 {
		t.Errorf("only %d titles were compared", both)
	}
}
