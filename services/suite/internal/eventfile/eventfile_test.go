package eventfile_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/eventfile"
)

// read reads a whole file.
func read(t *testing.T, text string, opts eventfile.Options) []eventfile.Row {
	t.Helper()
	rows, err := eventfile.Open(strings.NewReader(text), opts)
	if err != nil {
		t.Fatal(err)
	}
	var all []eventfile.Row
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if (row.Event == nil) == (len(row.Problems) == 0) {
			t.Errorf("line %d has neither an event nor a problem, or both", row.Line)
		}
		all = append(all, row)
	}
}

// wrongs are the problems of rows, each as line, reason and field.
func wrongs(rows []eventfile.Row) (list []string) {
	for _, r := range rows {
		for _, p := range r.Problems {
			list = append(list, fmt.Sprint(r.Line, " ", p.Reason, " ", p.Field))
		}
	}
	return list
}

const uid = "0198a000-0000-7000-8000-000000000001"

func TestEveryFieldIsReadFromItsColumn(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	rows := read(t, "event_id;profile;kind;time;amount;currency;order;brand;category;channel;score;campaign;details.shop\n"+
		"e1;"+uid+";purchase;2026-07-01 12:00;12.50;eur;o;\"A;B\";c;Web;;spring;12\n"+
		"e2;profiles/"+uid+";survey;2026-07-01T12:00:00Z;;;;;;;8.5;campaigns/spring;\n", eventfile.Options{Separator: ';', Zone: paris})
	want := []*profilev1.Event{
		{
			EventId: "e1", Whose: &profilev1.Event_Profile{Profile: "profiles/" + uid}, Kind: "purchase",
			EventTime: timestamppb.New(time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)), Amount: &typev1.Money{CurrencyCode: "EUR", Amount: "12.50"},
			Order: "o", Brand: "A;B", Category: "c", Channel: typev1.Channel_CHANNEL_WEB, Campaign: "campaigns/spring", Details: map[string]string{"shop": "12"},
		},
		{
			EventId: "e2", Whose: &profilev1.Event_Profile{Profile: "profiles/" + uid}, Kind: "survey", Score: "8.5",
			EventTime: timestamppb.New(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)), Campaign: "campaigns/spring",
		},
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows: %v", len(rows), wrongs(rows))
	}
	for i, r := range rows {
		if !proto.Equal(r.Event, want[i]) || r.Line != i+2 {
			t.Errorf("line %d is %v (%v), want %v", r.Line, r.Event, r.Problems, want[i])
		}
	}
}

func TestColumnsOfOtherNamesAndValuesForAllRows(t *testing.T) {
	const text = "basket_id,household,day,sales,upc\n1,A,2017-01-01,3.50,9\n2,B,2017-01-02,0.99,9\n"
	rows := read(t, text, eventfile.Options{
		Columns: map[string]string{"order": "basket_id", "identifier": "household", "time": "day", "amount": "sales"},
		Values:  map[string]string{"kind": "purchase", "currency": "USD", "identifier_kind": "external_id", "identifier_source": "shop"},
		Rest:    true, IDPrefix: "sales",
	})
	if len(rows) != 2 || len(wrongs(rows)) != 0 {
		t.Fatalf("%d rows: %v", len(rows), wrongs(rows))
	}
	want := &profilev1.Event{
		EventId: "sales:2", Kind: "purchase", Order: "2", Amount: &typev1.Money{CurrencyCode: "USD", Amount: "0.99"},
		EventTime: timestamppb.New(time.Date(2017, 1, 2, 0, 0, 0, 0, time.UTC)),
		Whose: &profilev1.Event_Identifier{Identifier: &profilev1.Identifier{
			Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "shop", Value: "B",
		}},
	}
	if !proto.Equal(rows[1].Event, want) {
		t.Errorf("the second event is %v, want %v", rows[1].Event, want)
	}
}

func TestAFileWhoseColumnsAreWrongIsRefused(t *testing.T) {
	full := "event_id,profile,kind,time"
	for name, c := range map[string]struct {
		text   string
		opts   eventfile.Options
		fields []string
	}{
		"a column that is no field":         {full + ",price", eventfile.Options{}, []string{"column 5"}},
		"no id":                             {"profile,kind,time", eventfile.Options{}, []string{"event_id"}},
		"ids and a prefix for ids":          {full, eventfile.Options{IDPrefix: "x"}, []string{"event_id"}},
		"nobody's":                          {"event_id,kind,time", eventfile.Options{}, []string{"profile"}},
		"nothing":                           {"a", eventfile.Options{Rest: true}, []string{"event_id", "kind", "time", "profile"}},
		"a column that is not there":        {full, eventfile.Options{Columns: map[string]string{"brand": "maker"}}, []string{"brand"}},
		"a field that is none":              {full, eventfile.Options{Values: map[string]string{"price": "1"}}, []string{"price"}},
		"a field twice":                     {full + ",kind", eventfile.Options{}, []string{"column 5"}},
		"a column and a value of one field": {full + ",type", eventfile.Options{Columns: map[string]string{"brand": "type"}, Values: map[string]string{"brand": "x"}}, []string{"brand"}},
	} {
		_, err := eventfile.Open(strings.NewReader(c.text), c.opts)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, v := range f.Violations {
			got = append(got, v.Field)
		}
		if !slices.Equal(got, c.fields) {
			t.Errorf("%s: wrong are %v, want %v", name, got, c.fields)
		}
	}
	if _, err := eventfile.Open(strings.NewReader(""), eventfile.Options{}); fault.ReasonOf(err) != eventfile.ReasonEmpty {
		t.Errorf("an empty file: %v", err)
	}
}

func TestARowThatCannotBeReadIsNamedWithoutItsValues(t *testing.T) {
	const text = "event_id,profile,identifier,identifier_kind,kind,time,amount,channel\n" +
		"1,p31337,,,visit,2026-01-01,,\n" +
		"2,,,,visit,2026-01-01,,\n" +
		"3,,31337,,visit,2026-01-01,,\n" +
		"4,,31337,p31337,visit,2026-01-01,,\n" +
		"5,p31337,31337,email,visit,2026-01-01,,\n" +
		"6,p31337,,,visit,31337,,\n" +
		"7,p31337,,,visit,2026-01-01,31337,\n" +
		"8,p31337,,,visit,2026-01-01,,c31337\n" +
		"9,p31337\n" +
		"\"10,p31337,,,visit,2026-01-01,,\n"
	rows := read(t, text, eventfile.Options{})
	want := []string{
		"3 MISSING_VALUE profile", "4 MISSING_VALUE identifier_kind", "5 UNKNOWN_VALUE identifier_kind", "6 UNKNOWN_VALUE identifier", "7 INVALID_DATE time",
		"8 MISSING_VALUE currency", "9 UNKNOWN_VALUE channel", "10 WRONG_FIELD_COUNT ", "11 BROKEN_QUOTE ",
	}
	if got := wrongs(rows); !slices.Equal(got, want) {
		t.Errorf("wrong are\n%q, want\n%q", got, want)
	}
	for _, r := range rows {
		for _, p := range r.Problems {
			if strings.Contains(p.Message, "31337") {
				t.Errorf("line %d: the message repeats a value: %s", r.Line, p.Message)
			}
		}
	}
}

func TestLinesOfJSON(t *testing.T) {
	event := &profilev1.Event{
		EventId: "e", Kind: "visit", EventTime: timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), Whose: &profilev1.Event_Profile{Profile: "profiles/" + uid},
	}
	line, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	text := string(line) + "\r\n\n{\"event_id\": 31337\n{\"price\": \"31337\"}\n{\"kind\": \"\xff\"}\n[" + strings.Repeat(" ", 1<<20) + "]\n" + string(line)
	rows := read(t, text, eventfile.Options{Lines: true})
	want := []string{"3 INVALID_JSON ", "4 INVALID_JSON ", "5 INVALID_ENCODING ", "6 ROW_TOO_LONG "}
	if got := wrongs(rows); !slices.Equal(got, want) || len(rows) != 6 {
		t.Fatalf("wrong are %q of %d, want %q of 6", got, len(rows), want)
	}
	for _, i := range []int{0, 5} {
		if !proto.Equal(rows[i].Event, event) {
			t.Errorf("line %d is %v, want %v", rows[i].Line, rows[i].Event, event)
		}
	}
	if rows[5].Line != 7 {
		t.Errorf("the last line is %d, want 7", rows[5].Line)
	}
	for _, r := range rows {
		for _, p := range r.Problems {
			if strings.Contains(p.Message, "31337") {
				t.Errorf("line %d: the message repeats a value: %s", r.Line, p.Message)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	for text, want := range map[string]string{
		"2026-01-31T18:30:00Z": "2026-01-31T18:30:00Z", "2026-01-31T18:30:00.25+01:00": "2026-01-31T17:30:00.25Z", "2026-01-31T18:30:00": "2026-01-31T16:30:00Z",
		"2026-01-31 18:30:00.5": "2026-01-31T16:30:00.5Z", "2026-01-31 18:30": "2026-01-31T16:30:00Z", "2026-01-31": "2026-01-30T22:00:00Z",
		"2026-02-30": "", "31.01.2026": "", "": "", "noon": "",
	} {
		got := ""
		if at, ok := eventfile.ParseTime(text, zone); ok {
			got = at.UTC().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// FuzzRows reads anything to its end: rows are events or have problems, and lines only grow.
func FuzzRows(f *testing.F) {
	f.Add("event_id,profile,kind,time,details.x\n1,p,visit,2026-01-01,\"a\nb\"\n", false)
	f.Add("{\"event_id\": \"1\"}\n{}\n", true)
	f.Fuzz(func(t *testing.T, text string, lines bool) {
		rows, err := eventfile.Open(strings.NewReader(text), eventfile.Options{Lines: lines, Rest: true})
		if err != nil {
			return
		}
		for line := 0; ; {
			row, err := rows.Next()
			if err != nil {
				return
			}
			if (row.Event == nil) == (len(row.Problems) == 0) || row.Line <= line {
				t.Fatalf("behind line %d: %+v", line, row)
			}
			line = row.Line
		}
	})
}
