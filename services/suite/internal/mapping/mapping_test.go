package mapping_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
)

// mapAll maps a file and returns a line for each row: the profile as text, or "line: REASON field" for each problem.
func mapAll(t *testing.T, yaml, file string, known ...*profilev1.Attribute) []string {
	t.Helper()
	m, err := mapping.Parse([]byte(yaml))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	rows, err := m.Open(strings.NewReader(file), known)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	var got []string
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		var problems []string
		for _, p := range row.Problems {
			problems = append(problems, fmt.Sprintf("%d: %s %s", row.Line, p.Reason, p.Field))
		}
		if problems != nil {
			if row.Profile != nil {
				t.Errorf("line %d has problems and a profile", row.Line)
			}
			got = append(got, strings.Join(problems, "; "))
			continue
		}
		got = append(got, row.Profile.String())
	}
}

// same compares a profile in text form with an expected one, whatever the spaces.
func same(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b profilev1.Profile
	if err := prototext.Unmarshal([]byte(want), &b); err != nil {
		return got == want
	}
	return prototext.Unmarshal([]byte(got), &a) == nil && proto.Equal(&a, &b)
}

func TestFieldsOfProfiles(t *testing.T) {
	for name, c := range map[string]struct {
		yaml, file string
		want       []string
	}{
		"column by name, trimmed": {"profile: {occupation: job}", "id,job\n1, cook \n", []string{`occupation:"cook"`}},
		"column by number":        {"profile: {occupation: 2}", "id,job\n1,cook\n", []string{`occupation:"cook"`}},
		"no header":               {"file: {header: no}\nprofile: {occupation: 2}", "1,cook\n2,smith", []string{`occupation:"cook"`, `occupation:"smith"`}},
		"skipped rows":            {"file: {skip_rows: 1}\nprofile: {occupation: job}", "exported today\njob\ncook\n", []string{`occupation:"cook"`}},
		"constant":                {"profile: {region: {value: fr-naq}}", "a\n1\n", []string{`region:"FR-NAQ"`}},
		"yaml words stay texts":   {"profile: {occupation: {column: a, map: {yes: on, no: off, 1.50: x}}}", "a\nyes\nno\n1.50\n", []string{`occupation:"on"`, `occupation:"off"`, `occupation:"x"`}},
		"missing markers": {
			"file: {missing: [NA, '?']}\nprofile: {occupation: a, household: {column: a, missing: [x]}}", "a\nNA\n?\nx\n\"\"\n",
			[]string{`household:"NA"`, `household:"?"`, `occupation:"x"`, ``},
		},
		"if missing":           {"profile: {occupation: {column: a, if_missing: none}}", "a,b\n,1\n", []string{`occupation:"none"`}},
		"map to missing":       {"profile: {gender: {column: a, map: {F: female, M: male, U: }}}", "a\nF\nU\nX\n", []string{`gender:GENDER_FEMALE`, ``, `4: UNMAPPED_VALUE gender`}},
		"map with default":     {"profile: {gender: {column: a, map: {F: female}, default: other}}", "a\nX\n", []string{`gender:GENDER_OTHER`}},
		"map, keep others":     {"profile: {occupation: {column: a, map: {x: y}, unmapped: keep}}", "a\nx\nz\n", []string{`occupation:"y"`, `occupation:"z"`}},
		"map, drop others":     {"profile: {occupation: {column: a, map: {x: y}, unmapped: missing}}", "a\nz\n", []string{``}},
		"map of empty":         {"profile: {occupation: {column: a, map: {'': idle}, unmapped: keep}}", "a,b\n,1\n", []string{`occupation:"idle"`}},
		"map in any case":      {"profile: {gender: {column: a, map: {Frau: female}, ignore_case: true}}", "a\nFRAU\n", []string{`gender:GENDER_FEMALE`}},
		"vocabulary":           {"profile: {job_level: a}", "a\nDirector\nCXO\nboss\n", []string{`job_level:JOB_LEVEL_DIRECTOR`, `job_level:JOB_LEVEL_CXO`, `4: UNKNOWN_VALUE job_level`}},
		"titles":               {"profile: {job_level: {column: a, from: job_title}}", "a\nVice President of Sales\nAccount Manager\nWelder\n\"\"\nGeschäftsführer/in\n", []string{`job_level:JOB_LEVEL_VP`, ``, ``, ``, `job_level:JOB_LEVEL_CXO`}},
		"titles, less sure":    {"profile: {job_level: {column: a, from: job_title, min_confidence: 0.5, occupation: true}}", "a\nAccount Manager\nWelder\nSocial Worker Assistant\n", []string{`job_level:JOB_LEVEL_MANAGER occupation:"Account Manager"`, `occupation:"Welder"`, `occupation:"Social Worker Assistant"`}},
		"titles, mapped first": {"profile: {job_level: {column: a, from: job_title, map: {Boss: owner, Chef: senior, Temp: }, unmapped: keep}, occupation: a}", "a\nBoss\nChef\nTemp\nDirector\n", []string{`job_level:JOB_LEVEL_OWNER occupation:"Boss"`, `job_level:JOB_LEVEL_SENIOR occupation:"Chef"`, `occupation:"Temp"`, `job_level:JOB_LEVEL_DIRECTOR occupation:"Director"`}},
		"titles, none given":   {"profile: {job_level: {column: a, from: job_title, if_missing: entry}}", "a,b\n,1\nCEO,1\n", []string{`job_level:JOB_LEVEL_ENTRY`, `job_level:JOB_LEVEL_CXO`}},
		"case and strip":       {"profile: {postal_code: {column: a, case: upper, strip: ' -'}}", "a\nsw1-a 2aa\n", []string{`postal_code:"SW1A2AA"`}},
		"match":                {`profile: {postal_code: {column: a, match: '\b(\d{5})\b'}}`, "a\n\"Rue 1, 40100 Dax\"\nno\n", []string{`postal_code:"40100"`, `3: UNMATCHED_VALUE postal_code`}},
		"match, else none":     {`profile: {postal_code: {column: a, match: '^\d{5}$', unmatched: missing}}`, "a\nno\n", []string{``}},
		"template":             {"profile: {region: {template: 'US-{state}'}, occupation: {template: '{{{2}}'}}", "state,job\nCA,cook\n,x\n", []string{`region:"US-CA" occupation:"{cook}"`, `occupation:"{x}"`}},
		"region":               {"profile: {region: a}", "a\nFR-40\nFR-4O\n", []string{`region:"FR-40"`, `3: UNKNOWN_REGION region`}},
		"uid":                  {"profile: {uid: a, occupation: {value: x}}", "a\n0190A0C0-0000-7000-8000-000000000001\n", []string{`name:"profiles/0190a0c0-0000-7000-8000-000000000001" occupation:"x"`}},
		"employer":             {"profile: {employer: {name: a, size: b}, employer.industry: c}", "a,b,c\nAcme,51-200,retail\n,,\n", []string{`employer:{name:"Acme" industry:"retail" size:EMPLOYER_SIZE_51_200}`, ``}},
		"birth dates":          {"profile: {birth_date: a}", "a\n1980-02-29\n1981\n1982-05\n1983-02-29\n", []string{`birth_date:{year:1980 month:2 day:29}`, `birth_date:{year:1981}`, `birth_date:{year:1982 month:5}`, `5: INVALID_DATE birth_date`}},
		"date formats":         {"profile: {birth_date: {column: a, date: [DD/MM/YYYY, '%d.%m.%Y', 'Jan 2, 2006', YYYY]}}", "a\n01/02/1980\n03.04.1981\n\"Dec 5, 1982\"\n1983\n1/2/1984\n", []string{`birth_date:{year:1980 month:2 day:1}`, `birth_date:{year:1981 month:4 day:3}`, `birth_date:{year:1982 month:12 day:5}`, `birth_date:{year:1983}`, `6: INVALID_DATE birth_date`}},
		"date from parts":      {"profile: {birth_date: {template: '{y}-{m}-{d}', date: YYYY-M-D}}", "y,m,d\n1980,2,3\n", []string{`birth_date:{year:1980 month:2 day:3}`}},
		"two-digit years":      {"profile: {birth_date: {column: a, date: DD-MM-YY, pivot: 20}}", "a\n01-02-19\n01-02-20\n", []string{`birth_date:{year:2019 month:2 day:1}`, `birth_date:{year:1920 month:2 day:1}`}},
		"time of day":          {"attributes: {seen: date}\nprofile: {custom.seen: {column: a, date: 'YYYY-MM-DDTHH:mm:ssZ'}}", "a\n2020-01-02T03:04:05.678Z\n", []string{`custom:{key:"seen" value:{date:{year:2020 month:1 day:2}}}`}},
		"age":                  {"profile: {birth_date: {column: a, age_as_of: 2010-12-31}}", "a\n0\n58\n121\n-1\n3.5\n151\n", []string{`birth_date:{year:2010}`, `birth_date:{year:1952}`, `birth_date:{year:1889}`, `5: INVALID_AGE birth_date`, `6: INVALID_AGE birth_date`, `7: INVALID_AGE birth_date`}},
		"age, nearly":          {"profile: {birth_date: {column: a, age_as_of: 2010-03-01, approximate: true}}", "a\n20\n", []string{`birth_date:{year:1989}`}},
		"money":                {"file: {separator: ;, decimal_comma: true, thousands: .}\nprofile: {income: {column: a, currency: EUR, strip: €}}", "a\n1.234.567,80€\n12,345\n1.23\n", []string{`income:{currency_code:"EUR" amount:"1234567.8"}`, `3: INVALID_NUMBER income`, `4: INVALID_NUMBER income`}},
		"money, rounded":       {"profile: {income: {column: a, currency_column: c, round: true}}", "a,c\n9.995,usd\n1,?\n", []string{`income:{currency_code:"USD" amount:"10"}`, `3: INVALID_CURRENCY income`}},
		"numbers":              {"attributes: {n: {type: decimal, scale: 2}}\nprofile: {custom.n: a}", "a\n-0.50\n+007\n.5\n1e3\n--1\n1.\n-0\n58138.000\n", []string{`custom:{key:"n" value:{decimal:"-0.5"}}`, `custom:{key:"n" value:{decimal:"7"}}`, `custom:{key:"n" value:{decimal:"0.5"}}`, `5: INVALID_NUMBER custom.n`, `6: INVALID_NUMBER custom.n`, `7: INVALID_NUMBER custom.n`, `custom:{key:"n" value:{decimal:"0"}}`, `custom:{key:"n" value:{decimal:"58138"}}`}},
		"spaced numbers":       {"file: {separator: ;}\nattributes: {n: {type: decimal}}\nprofile: {custom.n: {column: a, thousands: space}}", "a\n1 234 567\n1\u202f234\n1 23\n", []string{`custom:{key:"n" value:{decimal:"1234567"}}`, `custom:{key:"n" value:{decimal:"1234"}}`, `4: INVALID_NUMBER custom.n`}},
		"booleans":             {"attributes: {b: bool}\nprofile: {custom.b: a}", "a\nYes\n0\nmaybe\n", []string{`custom:{key:"b" value:{boolean:true}}`, `custom:{key:"b" value:{boolean:false}}`, `4: INVALID_BOOL custom.b`}},
		"allowed values":       {"attributes: {t: {type: string, allowed_values: [a, b]}}\nprofile: {custom: {t: a}}", "a\nb\nc\n", []string{`custom:{key:"t" value:{text:"b"}}`, `3: VALUE_NOT_ALLOWED custom.t`}},
		"split":                {"profile: {interests: {column: a, split: '|', map: {velo: cycling}, unmapped: keep}}", "a,b\nvelo | golf||velo,1\n,1\n|,1\n", []string{`interests:{values:"cycling" values:"golf"}`, ``, `interests:{}`}},
		"columns to list":      {"profile: {interests: {columns: [a, b, c]}}", "a,b,c\nx,,y\n,,\n", []string{`interests:{values:"x" values:"y"}`, ``}},
		"labels":               {"profile: {interests: {columns: [{column: a, when: 1, label: golf}, {column: b, when: [1, yes]}]}}", "a,b\n1,yes\n0,0\n,\n", []string{`interests:{values:"golf" values:"b"}`, `interests:{}`, ``}},
		"labels for all":       {"profile: {interests: {columns: [golf, tennis], when: x}}", "golf,tennis\nx,\n", []string{`interests:{values:"golf"}`}},
		"first of columns":     {"profile: {postal_code: {columns: [a, b]}}", "a,b\n,2\n1,2\n", []string{`postal_code:"2"`, `postal_code:"1"`}},
		"count":                {"attributes: {n: decimal}\nprofile: {custom.n: {columns: [a, b], when: 1, combine: count}}", "a,b\n1,1\n0,\n,\n", []string{`custom:{key:"n" value:{decimal:"2"}}`, `custom:{key:"n" value:{decimal:"0"}}`, ``}},
		"sum":                  {"file: {decimal_comma: yes, separator: ;}\nattributes: {n: {type: decimal, scale: 1}}\nprofile: {custom.n: {columns: [a, b], combine: sum}}", "a;b\n1,5;2\n1;\nx;1\n", []string{`custom:{key:"n" value:{decimal:"3.5"}}`, ``, `4: INVALID_NUMBER custom.n`}},
		"channels and roles":   {"profile: {preferred_channels: {column: a, split: ' '}, roles: {value: [buyer, consumer]}}", "a\nemail sms\nfax\n", []string{`preferred_channels:{values:CHANNEL_EMAIL values:CHANNEL_SMS} roles:{values:ROLE_BUYER values:ROLE_CONSUMER}`, `3: UNKNOWN_VALUE preferred_channels`}},
		"external id":          {"profile: {external_id: {column: a, source: crm}}", "a,b\nx,1\n,1\n", []string{`identifiers:{kind:IDENTIFIER_KIND_EXTERNAL_ID source:"crm" value:"x"}`, `3: MISSING_ID external_id`}},
		"row number":           {"profile: {external_id: {row_number: true}, occupation: b}", "a,b\nx,1\nbroken\ny,2\n", []string{`identifiers:{kind:IDENTIFIER_KIND_EXTERNAL_ID source:"import" value:"1"} occupation:"1"`, `3: WRONG_FIELD_COUNT `, `identifiers:{kind:IDENTIFIER_KIND_EXTERNAL_ID source:"import" value:"3"} occupation:"2"`}},
		"identifiers":          {"profile: {email: {column: a, case: lower}, identifiers: [{kind: cookie, column: b, source: shop}]}", "a,b\nA@Example.com,c1\n,\n", []string{`identifiers:{kind:IDENTIFIER_KIND_EMAIL value:"a@example.com"} identifiers:{kind:IDENTIFIER_KIND_COOKIE source:"shop" value:"c1"}`, ``}},
		"consents": {
			"profile: {consents: [{purpose: marketing, channel: email, status: {column: ok, map: {1: granted, 0: denied}}, expire_date: {column: until, date: DD/MM/YYYY}, decide_date: on, source: web form}, {purpose: profiling, status: granted}]}",
			"ok,until,on\n1,31/12/2030,2020-01-02\n0,,\n,,\n2,,\n",
			[]string{
				`consents:{purpose:CONSENT_PURPOSE_MARKETING channel:CHANNEL_EMAIL status:CONSENT_STATUS_GRANTED expire_date:{year:2030 month:12 day:31} decide_time:{seconds:1577923200} source:"web form"} consents:{purpose:CONSENT_PURPOSE_PROFILING status:CONSENT_STATUS_GRANTED}`,
				`consents:{purpose:CONSENT_PURPOSE_MARKETING channel:CHANNEL_EMAIL status:CONSENT_STATUS_DENIED source:"web form"} consents:{purpose:CONSENT_PURPOSE_PROFILING status:CONSENT_STATUS_GRANTED}`,
				`consents:{purpose:CONSENT_PURPOSE_PROFILING status:CONSENT_STATUS_GRANTED}`,
				`5: UNMAPPED_VALUE profile.consents[0].status`,
			},
		},
		"consent without its channel": {"profile: {consents: [{purpose: marketing, channel: {column: c}, status: {column: s}}]}", "c,s\nemail,granted\n,granted\n", []string{`consents:{purpose:CONSENT_PURPOSE_MARKETING channel:CHANNEL_EMAIL status:CONSENT_STATUS_GRANTED}`, ``}},
		"every problem of a row":      {"profile: {gender: a, birth_date: b}", "a,b\nx,y\n", []string{`2: UNKNOWN_VALUE gender; 2: INVALID_DATE birth_date`}},
		"broken quote":                {"profile: {occupation: a}", "a,b\n\"x,1\nok,2\n", []string{`2: BROKEN_QUOTE `, `occupation:"ok"`}},
		"ragged":                      {"file: {ragged: true}\nprofile: {occupation: a, household: b}", "a,b\nx\ny,1\nz,1,2\n", []string{`occupation:"x"`, `occupation:"y" household:"1"`, `4: WRONG_FIELD_COUNT `}},
		"anchors":                     {"profile: {gender: {column: a, map: &g {F: female}}, occupation: {column: a, map: *g}}", "a\nF\n", []string{`gender:GENDER_FEMALE occupation:"female"`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := mapAll(t, c.yaml, c.file)
			if len(got) != len(c.want) {
				t.Fatalf("%d rows %q, want %d", len(got), got, len(c.want))
			}
			for i := range got {
				if !same(t, got[i], c.want[i]) {
					t.Errorf("row %d: got %s\nwant %s", i, got[i], c.want[i])
				}
			}
		})
	}
}

func TestAttributesOfTheStoreAreEnough(t *testing.T) {
	known := &profilev1.Attribute{Name: "attributes/n", Type: profilev1.Attribute_TYPE_DECIMAL, Scale: 1}
	got := mapAll(t, "profile: {custom.n: a}", "a\n1.5\n1.55\n", known)
	if len(got) != 2 || !same(t, got[0], `custom:{key:"n" value:{decimal:"1.5"}}`) || got[1] != "3: INVALID_NUMBER custom.n" {
		t.Errorf("got %q", got)
	}
}

func TestMappingFilesThatAreWrongAreRefusedWithLineAndPath(t *testing.T) {
	for name, c := range map[string]struct{ yaml, path, says string }{
		"unknown key":          {"profile:\n  occupation: {colum: a}", "profile.occupation.colum", "line 2: \"colum\" means nothing here"},
		"unknown section":      {"profil: {}\nprofile: {occupation: a}", "profil", "line 1"},
		"unknown file option":  {"file:\n  seperator: x\nprofile: {occupation: a}", "file.seperator", "line 2"},
		"unknown field":        {"profile:\n\n  job_title: a", "profile.job_title", "line 3"},
		"no source":            {"profile: {occupation: {missing: [x]}}", "profile.occupation", "exactly one"},
		"two sources":          {"profile: {occupation: {column: a, value: b}}", "profile.occupation", "exactly one"},
		"twice":                {"profile:\n  occupation: a\n  occupation: b", "profile.occupation", "twice"},
		"twice by dots":        {"profile: {employer: {name: a}, employer.name: b}", "employer.name", "twice"},
		"separator":            {"file: {separator: ab}\nprofile: {occupation: a}", "file.separator", "single character"},
		"encoding":             {"file: {encoding: ebcdic}\nprofile: {occupation: a}", "file.encoding", "not known"},
		"attribute id":         {"attributes: {Big: string}\nprofile: {occupation: a}", "attributes.Big", "beginning with a letter"},
		"attribute type":       {"attributes: {n: number}\nprofile: {occupation: a}", "attributes.n", "must be one of"},
		"attribute scale":      {"attributes: {n: {type: decimal, scale: 12}}\nprofile: {occupation: a}", "attributes.n.scale", "0 to 9"},
		"date format":          {"profile: {birth_date: {column: a, date: JJJJ}}", "profile.birth_date.date", "made of YYYY"},
		"short year":           {"profile: {birth_date: {column: a, date: DD/MM/YY}}", "profile.birth_date", "pivot"},
		"age on another day":   {"profile: {birth_date: {column: a, age_as_of: 2014-06-30}}", "profile.birth_date", "31 December"},
		"age elsewhere":        {"profile: {occupation: {column: a, age_as_of: 2014-12-31}}", "profile.occupation", "birth_date"},
		"income's currency":    {"profile: {income: a}", "profile.income", "currency"},
		"pattern":              {"profile: {occupation: {column: a, match: '('}}", "profile.occupation.match", "regular expression"},
		"template":             {"profile: {occupation: {template: 'a {b'}}", "profile.occupation.template", "braces"},
		"consent":              {"profile: {consents: [{purpose: marketing}]}", "profile.consents[0]", "status"},
		"consent's purpose":    {"profile: {consents: [{purpose: fun, status: granted}]}", "profile.consents[0].purpose", "must be one of"},
		"split of one":         {"profile: {occupation: {column: a, split: ','}}", "profile.occupation", "several values"},
		"default without map":  {"profile: {occupation: {column: a, default: b}}", "profile.occupation", "belong to map"},
		"nothing":              {"", "", "empty"},
		"no profile":           {"file: {header: true}", "", "no profile"},
		"not yaml":             {"profile: [", "", "not YAML"},
		"two documents":        {"profile: {occupation: a}\n---\na: b", "", "more than one"},
		"boolean":              {"file: {header: maybe}\nprofile: {occupation: a}", "file.header", "true or false"},
		"list for a map":       {"profile: [a]", "profile", "map of keys"},
		"custom date is whole": {"attributes: {d: date}\nprofile: {custom.d: {column: a, date: YYYY}}", "custom", "year, month and day"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := mapping.Parse([]byte(c.yaml))
			if err == nil {
				_, err = m.Open(strings.NewReader("a,b\n1,2\n"), nil)
			}
			f := fault.As(err)
			if f == nil || f.Kind != fault.Invalid || f.Reason != mapping.ReasonInvalid {
				t.Fatalf("got %v, want a fault MAPPING_INVALID", err)
			}
			if !strings.Contains(f.Error(), c.says) {
				t.Errorf("error %q does not say %q", f.Error(), c.says)
			}
			if c.path == "" {
				return
			}
			for _, v := range f.Violations {
				if strings.Contains(v.Field, c.path) {
					return
				}
			}
			t.Errorf("violations %v do not name %s", f.Violations, c.path)
		})
	}
}

func TestColumnsThatAreNotThereAreNamedBeforeAnyRowIsRead(t *testing.T) {
	for name, c := range map[string]struct{ yaml, file, says string }{
		"name":       {"profile: {occupation: job}", "id,Job\n", `no column "job"; it has: id, Job`},
		"number":     {"profile: {occupation: 3}", "id,job\n", "no column 3; it has 2"},
		"no header":  {"file: {header: false}\nprofile: {occupation: job}", "1,2\n", "named by number"},
		"duplicate":  {"profile: {occupation: a}", "a,a\n", "more than one column"},
		"template":   {"profile: {occupation: {template: '{x}'}}", "a\n", `no column "x"`},
		"undeclared": {"profile: {custom.n: a}", "a\n", "not declared"},
		"empty":      {"profile: {occupation: a}", "", "no rows"},
	} {
		m, err := mapping.Parse([]byte(c.yaml))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := m.Open(strings.NewReader(c.file), nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v does not say %q", name, err, c.says)
		}
	}
}

func TestMessagesOfProblemsHoldNoValueOfTheRow(t *testing.T) {
	const secret = "zq7secret"
	m, err := mapping.Parse([]byte("attributes: {n: decimal, b: bool, t: {type: string, allowed_values: [x]}}\nprofile: {gender: a, region: a, birth_date: a, income: {column: a, currency: EUR}, job_level: a, " +
		"custom: {n: a, b: a, t: a}, occupation: {column: a, map: {x: y}}, household: {column: a, match: '^x$'}, roles: a}"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := m.Open(strings.NewReader("a\n"+secret+"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	row, err := rows.Next()
	if err != nil || len(row.Problems) < 10 {
		t.Fatalf("got %+v, %v; want a problem for each field", row.Problems, err)
	}
	for _, p := range row.Problems {
		if strings.Contains(p.Message, secret) || p.Message == "" || p.Reason == "" {
			t.Errorf("problem %+v", p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("file: {separator: ;}\nattributes: {n: decimal}\nprofile: {custom.n: {columns: [a, b], combine: sum}}", "a,b\n1,2\n")
	f.Add("profile: {birth_date: {column: a, age_as_of: 2010-12-31}, income: {column: b, currency: EUR}}", "a,b\n1,2\n")
	f.Add("profile: {job_level: {column: a, from: job_title, min_confidence: 0.5, occupation: true}}", "a\nVice President\n")
	f.Add("profile: &a {employer: *a}", "a\n1\n")
	f.Fuzz(func(t *testing.T, yaml, file string) {
		m, err := mapping.Parse([]byte(yaml))
		if err != nil {
			return
		}
		rows, err := m.Open(strings.NewReader(file), nil)
		if err != nil {
			return
		}
		for range 100 {
			row, err := rows.Next()
			if err != nil {
				return
			}
			if (row.Profile == nil) == (len(row.Problems) == 0) {
				t.Fatal("a row must be either a profile or problems")
			}
		}
	})
}

func BenchmarkMap(b *testing.B) {
	m := example(b, "bank-marketing.yaml")
	head := "age;job;marital;education;default;balance;housing;loan;contact;day;month;duration;campaign;pdays;previous;poutcome;y\n"
	row := "58;\"management\";\"married\";\"tertiary\";\"no\";2143;\"yes\";\"no\";\"unknown\";5;\"may\";261;1;-1;0;\"unknown\";\"no\"\n"
	rows, err := m.Open(io.MultiReader(strings.NewReader(head), endless(row)), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := rows.Next(); err != nil || r.Problems != nil {
			b.Fatal(err, r.Problems)
		}
	}
}

type endless string

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }
