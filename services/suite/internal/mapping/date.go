package mapping

import (
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
)

// dateFormat is a compiled format: tokens and literal texts in order.
type dateFormat struct {
	parts     []string
	shortYear bool
	hasMonth  bool
	hasDay    bool
}

// Tokens of formats, longest first. Times of day are read and dropped.
var dateTokens = []string{"YYYY", "MMMM", "MMM", "YY", "MM", "DD", "HH", "mm", "ss", "M", "D"}

var (
	strptime = strings.NewReplacer("%Y", "YYYY", "%y", "YY", "%m", "MM", "%d", "DD", "%e", "D", "%b", "MMM", "%B", "MMMM", "%H", "HH",
		"%M", "mm", "%S", "ss", "%-m", "M", "%-d", "D", "%F", "YYYY-MM-DD", "%T", "HH:mm:ss")
	goLayout = strings.NewReplacer("2006", "YYYY", "January", "MMMM", "Jan", "MMM", "01", "MM", "02", "DD", "15", "HH", "04", "mm", "05", "ss",
		"06", "YY", "_2", "D", "1", "M", "2", "D")
	goYear = regexp.MustCompile(`2006|\b06\b`)
)

// dateFormat compiles a format: YYYY-MM-DD, %Y-%m-%d or Go's 2006-01-02.
func (p *problems) dateFormat(v value) dateFormat {
	text := p.scalar(v)
	switch {
	case text == "year":
		text = "YYYY"
	case strings.Contains(text, "%"):
		text = strptime.Replace(text)
	case goYear.MatchString(text):
		text = goLayout.Replace(text)
	}
	f, problem := compileDate(text)
	if problem != "" {
		p.add(v, "%s", problem)
	}
	return f
}

func compileDate(text string) (f dateFormat, problem string) {
	const help = "a date format is made of YYYY, YY, MM, M, MMM, DD, D and separators, such as DD/MM/YYYY; %d/%m/%Y and 02/01/2006 mean the same"
	hasYear := false
	for text != "" {
		token := ""
		for _, t := range dateTokens {
			if strings.HasPrefix(text, t) {
				token = t
				break
			}
		}
		switch token {
		case "":
			if c := text[0]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z' || c == '%' {
				return f, help
			}
			token = text[:1]
		case "YYYY":
			hasYear = true
		case "YY":
			hasYear, f.shortYear = true, true
		case "MMMM", "MMM", "MM", "M":
			f.hasMonth = true
		case "DD", "D":
			f.hasDay = true
		}
		f.parts = append(f.parts, token)
		text = text[len(token):]
	}
	if !hasYear || f.hasDay && !f.hasMonth {
		return f, help
	}
	return f, ""
}

var (
	wholeDate  = mustDate("YYYY-MM-DD")
	birthDates = []dateFormat{wholeDate, mustDate("YYYY-MM"), mustDate("YYYY")}
)

func mustDate(text string) dateFormat {
	f, problem := compileDate(text)
	if problem != "" {
		panic("mapping: " + problem)
	}
	return f
}

var monthNames = []string{
	"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
}

// parse reads a text in the format; false if it is not in it, or is no day of the calendar.
func (f dateFormat) parse(text string, pivot int) (*date.Date, bool) {
	year, month, day := 0, 0, 0
	for _, part := range f.parts {
		var ok bool
		switch part {
		case "YYYY":
			year, text, ok = digits(text, 4, 4)
		case "YY":
			year, text, ok = digits(text, 2, 2)
			if year < pivot {
				year += 2000
			} else {
				year += 1900
			}
		case "MM":
			month, text, ok = digits(text, 2, 2)
		case "M":
			month, text, ok = digits(text, 1, 2)
		case "MMM", "MMMM":
			month, text, ok = monthName(text, part == "MMM")
		case "DD":
			day, text, ok = digits(text, 2, 2)
		case "D":
			day, text, ok = digits(text, 1, 2)
		case "HH", "mm", "ss":
			var other int
			other, text, ok = digits(text, 2, 2)
			ok = ok && other < 61
			if part == "ss" && strings.HasPrefix(text, ".") { // a fraction
				text = strings.TrimLeft(text[1:], "0123456789")
			}
		default:
			text, ok = strings.CutPrefix(text, part)
		}
		if !ok {
			return nil, false
		}
	}
	if text != "" || year < 1 || f.hasMonth && (month < 1 || month > 12) {
		return nil, false
	}
	if f.hasDay && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return nil, false
	}
	return &date.Date{Year: int32(year), Month: int32(month), Day: int32(day)}, true
}

func digits(text string, least, most int) (n int, rest string, ok bool) {
	i := 0
	for i < len(text) && i < most && text[i] >= '0' && text[i] <= '9' {
		n = n*10 + int(text[i]-'0')
		i++
	}
	return n, text[i:], i >= least
}

func monthName(text string, short bool) (int, string, bool) {
	for i, name := range monthNames {
		if short {
			name = name[:3]
		}
		if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) {
			return i + 1, text[len(name):], true
		}
	}
	return 0, text, false
}

// asOf is the day as of which ages are given.
type asOf struct{ year, month, day int }

func (p *problems) asOf(v value) *asOf {
	d, ok := wholeDate.parse(p.scalar(v), 0)
	if !ok {
		p.add(v, "this must be a day such as 2014-12-31")
		return &asOf{year: 2000, month: 12, day: 31}
	}
	return &asOf{year: int(d.GetYear()), month: int(d.GetMonth()), day: int(d.GetDay())}
}

func (a *asOf) lastOfYear() bool { return a.month == 12 && a.day == 31 }

// birthYear is the year in which somebody of that age was born: on 31 December there is only one, on other days the one that
// holds more of the possible days of birth.
func (a *asOf) birthYear(age int) int {
	if time.Date(a.year, time.Month(a.month), a.day, 0, 0, 0, 0, time.UTC).YearDay() >= 183 {
		return a.year - age
	}
	return a.year - age - 1
}
