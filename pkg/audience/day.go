package audience

import (
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Days are counted from 1970-01-01 in the proleptic Gregorian calendar. Dates lie between these two, both included
// (0001-01-01 and 9999-12-31); a question's day is never MaxDay, so that a consent without expiry always holds.
const (
	MinDay int64 = -719162
	MaxDay int64 = 2932896
)

// ReasonInvalidDate is the reason of the fault about a date that does not exist or is written in another way.
const ReasonInvalidDate = "INVALID_DATE"

// DayOf returns the days from 1970-01-01 to a date of the proleptic Gregorian calendar. Month and day must exist; any
// year within +-10^9 does.
//
// The year is counted from March, so that the leap day is its last, and in cycles of 400 years, all of the same length.
func DayOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	cycle := floorDiv(year, 400)
	inCycle := year - cycle*400
	inYear := (153*(month-3)+2)/5 + day - 1
	return cycle*146097 + inCycle*365 + inCycle/4 - inCycle/100 + inYear - 719468
}

// DateOf is the inverse of DayOf.
func DateOf(day int64) (year, month, dayOfMonth int64) {
	day += 719468
	cycle := floorDiv(day, 146097)
	inCycle := day - cycle*146097
	year = (inCycle - inCycle/1460 + inCycle/36524 - inCycle/146096) / 365
	inYear := inCycle - (365*year + year/4 - year/100)
	m := (5*inYear + 2) / 153
	dayOfMonth = inYear - (153*m+2)/5 + 1
	year += cycle * 400
	month = m + 3
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, dayOfMonth
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// DaysIn returns the number of days of a month.
func DaysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// ParseDay reads a date written as 2024-02-29 (ISO 8601, ten characters), from 0001-01-01 to 9999-12-31.
func ParseDay(text string) (int64, error) {
	invalid := fault.New(fault.Invalid, ReasonInvalidDate, "a date is written as year-month-day, such as 2024-02-29, and must exist")
	if len(text) != 10 || text[4] != '-' || text[7] != '-' {
		return 0, invalid
	}
	var parts [3]int64
	for i, at := range [3][2]int{{0, 4}, {5, 7}, {8, 10}} {
		for _, c := range []byte(text[at[0]:at[1]]) {
			if c < '0' || c > '9' {
				return 0, invalid
			}
			parts[i] = parts[i]*10 + int64(c-'0')
		}
	}
	year, month, day := parts[0], parts[1], parts[2]
	if year < 1 || month < 1 || month > 12 || day < 1 || day > DaysIn(year, month) {
		return 0, invalid
	}
	return DayOf(year, month, day), nil
}

// FormatDay writes a day between MinDay and MaxDay as 2024-02-29.
func FormatDay(day int64) string {
	y, m, d := DateOf(day)
	text := []byte("0000-00-00")
	put := func(at, width int, n int64) {
		for i := width - 1; i >= 0; i-- {
			text[at+i] = byte('0' + n%10)
			n /= 10
		}
	}
	put(0, 4, max(y, 0))
	put(5, 2, m)
	put(8, 2, d)
	return string(text)
}

// maxYears bounds ages: between two dates there are at most 9,998 years, so a larger number asks the same question.
const maxYears = 10_000

// AgeCutoff returns the last day on which somebody can be born who is at least that many years old on day: the same month
// and day so many years before, or the last day of that month where it does not exist, so that whoever is born on
// 29 February is a year older on 1 March of common years.
func AgeCutoff(day, years int64) int64 {
	years = max(-maxYears, min(maxYears, years))
	y, m, d := DateOf(day)
	y -= years
	return DayOf(y, m, min(d, DaysIn(y, m)))
}

// AgeOn returns the age in whole years on day of somebody born on birth, negative before the birth.
func AgeOn(birth, day int64) int64 {
	by, bm, bd := DateOf(birth)
	y, m, d := DateOf(day)
	years := y - by
	if m < bm || m == bm && d < bd {
		years--
	}
	return years
}
