package rpc

import (
	"google.golang.org/genproto/googleapis/type/date"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// traitsToWire returns the message of traits, nil for nil. There is no way back: nobody writes traits. What a writer declared of the
// lifecycle is not told.
func traitsToWire(t *profile.Traits) *profilev1.Traits {
	if t == nil {
		return nil
	}
	p := &t.Purchases
	m := &profilev1.Traits{
		Purchases: &profilev1.Purchases{
			Activity: activityToWire(p.Activity),
			Sum:      wire.MoneyOf(p.Currency, p.Sum), Sum_30D: wire.MoneyOf(p.Currency, p.Sum30),
			Sum_90D: wire.MoneyOf(p.Currency, p.Sum90), Sum_365D: wire.MoneyOf(p.Currency, p.Sum365),
			FavouriteChannel: wire.Channels.Value(p.FavouriteChannel), FavouriteBrand: p.FavouriteBrand, FavouriteCategory: p.FavouriteCategory,
			Loyalty: decimalToWire(p.Loyalty, audience.LoyaltyScale),
		},
		Visits: activityToWire(t.Visits), Opens: activityToWire(t.Opens), Clicks: activityToWire(t.Clicks),
		Responses: activityToWire(t.Responses), Complaints: activityToWire(t.Complaints), Surveys: activityToWire(t.Surveys),
		Satisfaction: decimalToWire(t.Satisfaction, audience.SatisfactionScale),
	}
	if p.Count > 0 {
		m.Purchases.FirstDate = wire.DayDate(p.First)
	}
	if p.AverageBasket != nil {
		m.Purchases.AverageBasket = wire.MoneyOf(p.Currency, *p.AverageBasket)
	}
	if len(t.Own) > 0 {
		m.Own = make(map[string]*profilev1.Activity, len(t.Own))
		for kind, a := range t.Own {
			m.Own[kind] = activityToWire(a)
		}
	}
	return m
}

func activityToWire(a profile.Activity) *profilev1.Activity {
	var last *date.Date
	if a.Count > 0 {
		last = wire.DayDate(a.Last)
	}
	return &profilev1.Activity{LastDate: last, Count: a.Count, Count_30D: a.Count30, Count_90D: a.Count90, Count_365D: a.Count365}
}

func decimalToWire(n *int64, scale int) *string {
	if n == nil {
		return nil
	}
	text := audience.FormatDecimal(*n, scale)
	return &text
}
