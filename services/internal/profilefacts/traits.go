package profilefacts

import (
	"google.golang.org/genproto/googleapis/type/date"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// activity is one of the activities of traits: where it stands and what its facts are called, put together once.
type activity struct {
	path  string
	attrs audience.ActivityAttrs
	of    func(*profilev1.Traits) *profilev1.Activity
}

var activities = []activity{
	{"traits.purchases.activity", audience.ActivityAttrsOf("purchase"), func(t *profilev1.Traits) *profilev1.Activity { return t.GetPurchases().GetActivity() }},
	{"traits.visits", audience.ActivityAttrsOf("visit"), (*profilev1.Traits).GetVisits},
	{"traits.opens", audience.ActivityAttrsOf("open"), (*profilev1.Traits).GetOpens},
	{"traits.clicks", audience.ActivityAttrsOf("click"), (*profilev1.Traits).GetClicks},
	{"traits.responses", audience.ActivityAttrsOf("response"), (*profilev1.Traits).GetResponses},
	{"traits.complaints", audience.ActivityAttrsOf("complaint"), (*profilev1.Traits).GetComplaints},
	{"traits.surveys", audience.ActivityAttrsOf("survey"), (*profilev1.Traits).GetSurveys},
}

// traits adds the facts of behaviour. With traits all numbers are known: an activity that is not set did not happen. Own kinds of
// events are no attributes and give no fact.
func (f *builder) traits(t *profilev1.Traits) {
	for _, a := range activities {
		m := a.of(t)
		f.day(a.attrs.LastDate, a.path, "last_date", m.GetLastDate())
		f.facts[a.attrs.Count] = audience.Value{Num: m.GetCount()}
		f.facts[a.attrs.Count30d] = audience.Value{Num: m.GetCount_30D()}
		f.facts[a.attrs.Count90d] = audience.Value{Num: m.GetCount_90D()}
		f.facts[a.attrs.Count365d] = audience.Value{Num: m.GetCount_365D()}
	}
	const path = "traits.purchases"
	p := t.GetPurchases()
	f.day(audience.AttrPurchaseFirstDate, path, "first_date", p.GetFirstDate())
	f.money(audience.AttrPurchaseSum, path, "sum", p.GetSum())
	f.money(audience.AttrPurchaseSum30d, path, "sum_30d", p.GetSum_30D())
	f.money(audience.AttrPurchaseSum90d, path, "sum_90d", p.GetSum_90D())
	f.money(audience.AttrPurchaseSum365d, path, "sum_365d", p.GetSum_365D())
	f.money(audience.AttrPurchaseAverageBasket, path, "average_basket", p.GetAverageBasket())
	f.text(audience.AttrPurchaseFavouriteChannel, wire.Channels.Text(p.GetFavouriteChannel()))
	f.text(audience.AttrPurchaseFavouriteBrand, wire.Text(p.GetFavouriteBrand()))
	f.text(audience.AttrPurchaseFavouriteCategory, wire.Text(p.GetFavouriteCategory()))
	if p != nil {
		f.decimal(audience.AttrPurchaseLoyalty, path+".loyalty", p.Loyalty, audience.LoyaltyScale)
	}
	f.decimal(audience.AttrSurveySatisfaction, "traits.satisfaction", t.Satisfaction, audience.SatisfactionScale)
}

// day sets a date; nil is unknown.
func (f *builder) day(name, path, field string, d *date.Date) {
	if d != nil {
		day, err := wire.Day(d)
		f.putAt(name, path, field, audience.Value{Num: day}, err)
	}
}

// money sets an amount; nil is unknown.
func (f *builder) money(name, path, field string, m *typev1.Money) {
	if m != nil {
		currency, amount, err := wire.Money(m)
		f.putAt(name, path, field, audience.Value{Currency: currency, Num: amount}, err)
	}
}

// putAt puts a field together with its path only where it is wrong.
func (f *builder) putAt(name, path, field string, v audience.Value, err error) {
	if err != nil {
		path += "." + field
	}
	f.put(name, path, v, err)
}

// decimal sets a number; nil is unknown.
func (f *builder) decimal(name, path string, text *string, scale int) {
	if text != nil {
		n, err := audience.ParseDecimal(*text, scale)
		f.put(name, path, audience.Value{Num: n}, err)
	}
}
