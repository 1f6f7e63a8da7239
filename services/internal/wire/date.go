package wire

import (
	"google.golang.org/genproto/googleapis/type/date"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Interval returns the first and the last day, both since 1970-01-01, that a date can mean: a whole date is one day, a year and
// month without a day is that month, a year alone that year. A date that does not exist, or has a day without a month, is an
// Invalid fault (INVALID_DATE).
func Interval(d *date.Date) (first, last int64, err error) {
	year, month, day := int64(d.GetYear()), int64(d.GetMonth()), int64(d.GetDay())
	switch {
	case year < 1 || year > 9999:
		return 0, 0, invalidDate("year", "a year is 1 to 9999")
	case month < 0 || month > 12:
		return 0, 0, invalidDate("month", "a month is 1 to 12, or 0 where only the year is known")
	case month == 0 && day != 0:
		return 0, 0, invalidDate("month", "a day needs its month; leave the day out too where only the year is known")
	case month == 0:
		return audience.DayOf(year, 1, 1), audience.DayOf(year, 12, 31), nil
	case day < 0 || day > audience.DaysIn(year, month):
		return 0, 0, invalidDate("day", "the month does not have this day")
	case day == 0:
		return audience.DayOf(year, month, 1), audience.DayOf(year, month, audience.DaysIn(year, month)), nil
	}
	first = audience.DayOf(year, month, day)
	return first, first, nil
}

// IntervalDate is the inverse of Interval. An interval that is neither a day, a month nor a year, which Interval never returns,
// becomes nil: unknown.
func IntervalDate(first, last int64) *date.Date {
	year, month, day := audience.DateOf(first)
	whole := &date.Date{Year: int32(year), Month: int32(month), Day: int32(day)}
	switch {
	case first == last:
		return whole
	case day != 1:
		return nil
	case month == 1 && last == audience.DayOf(year, 12, 31):
		return &date.Date{Year: whole.Year}
	case last == audience.DayOf(year, month, audience.DaysIn(year, month)):
		return &date.Date{Year: whole.Year, Month: whole.Month}
	}
	return nil
}

// Day returns the days from 1970-01-01 to a date of which year, month and day are all given; else an Invalid fault
// (INVALID_DATE).
func Day(d *date.Date) (int64, error) {
	first, last, err := Interval(d)
	if err == nil && first != last {
		err = invalidDate("day", "year, month and day are all required here")
	}
	return first, err
}

// DayDate is the inverse of Day, for days between audience.MinDay and audience.MaxDay.
func DayDate(day int64) *date.Date {
	y, m, d := audience.DateOf(day)
	return &date.Date{Year: int32(y), Month: int32(m), Day: int32(d)}
}

func invalidDate(field, message string) error {
	return fault.InvalidField(audience.ReasonInvalidDate, field, message)
}
