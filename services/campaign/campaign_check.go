package campaign

import (
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Check returns every violation of the campaign under the field's path relative to it, as an Invalid fault; nil if there is none.
// Whether its audience exists is the store's to say.
func (c Campaign) Check() error {
	var v fault.Violations
	if !slices.Contains(Objectives, c.Objective) {
		v.Add("objective", ReasonUnknownValue, "an objective is one of "+strings.Join(Objectives, ", "))
	}
	if id, ok := strings.CutPrefix(c.Audience, AudiencePrefix); !ok || !ValidID(id) {
		v.Add("audience", ReasonAudienceNotFound, "a campaign needs a saved audience by its name, such as audiences/young-cyclists")
	}
	if c.Channel != "" && !slices.Contains(audience.Channels, c.Channel) {
		v.Add("channel", ReasonUnknownValue, "a channel is one of "+strings.Join(audience.Channels, ", "))
	}
	if c.Budget != nil {
		if !isCurrency(c.Budget.Currency) {
			v.Add("budget.currency_code", ReasonUnknownValue, "a currency is an ISO 4217 code of three capitals, such as EUR")
		}
		if c.Budget.Cents < 0 {
			v.Add("budget.amount", ReasonInvalidNumber, "a budget is not negative")
		}
	}
	for _, day := range []struct {
		field string
		day   *int64
	}{{"start_date", c.StartDay}, {"end_date", c.EndDay}} {
		if day.day != nil && (*day.day < audience.MinDay || *day.day > audience.MaxDay) {
			v.Add(day.field, ReasonInvalidDate, "a day lies between 0001-01-01 and 9999-12-31")
		}
	}
	if c.StartDay != nil && c.EndDay != nil && *c.StartDay > *c.EndDay {
		v.Add("end_date", ReasonInvalidRange, "the last day is before the first one; swap them")
	}
	return v.Err()
}

func isCurrency(code string) bool {
	return len(code) == 3 && strings.IndexFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0
}
