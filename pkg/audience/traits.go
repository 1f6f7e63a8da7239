package audience

// Names of the built-in attributes that follow from what a person bought and said of it. Dates are days, counts are of orders, sums
// are in the store's currency, favourites and loyalty are of the last 365 days. A window of 30, 90 or 365 days includes the day
// itself.
const (
	AttrPurchaseFirstDate         = "purchase.first_date"
	AttrPurchaseLastDate          = "purchase.last_date"
	AttrPurchaseCount             = "purchase.count"
	AttrPurchaseCount30d          = "purchase.count_30d"
	AttrPurchaseCount90d          = "purchase.count_90d"
	AttrPurchaseCount365d         = "purchase.count_365d"
	AttrPurchaseSum               = "purchase.sum"
	AttrPurchaseSum30d            = "purchase.sum_30d"
	AttrPurchaseSum90d            = "purchase.sum_90d"
	AttrPurchaseSum365d           = "purchase.sum_365d"
	AttrPurchaseAverageBasket     = "purchase.average_basket"    // of the orders of 365 days
	AttrPurchaseFavouriteChannel  = "purchase.favourite_channel" // one of Channels
	AttrPurchaseFavouriteBrand    = "purchase.favourite_brand"
	AttrPurchaseFavouriteCategory = "purchase.favourite_category"
	AttrPurchaseLoyalty           = "purchase.loyalty"    // share of the favourite brand, 0.0000 to 1.0000
	AttrSurveySatisfaction        = "survey.satisfaction" // mean score of 365 days, 0.00 to 10.00
)

// Digits after the point of the traits that are neither counts nor money.
const (
	LoyaltyScale      = 4
	SatisfactionScale = 2
)

// Activities are the kinds of events, beside purchases, that have attributes: those of ActivityAttrs.
var Activities = []string{"visit", "open", "click", "response", "complaint", "survey"}

// ActivityAttrs are the names of the attributes that tell when last and how often something happened.
type ActivityAttrs struct{ LastDate, Count, Count30d, Count90d, Count365d string }

// ActivityAttrsOf returns the names for one of Activities, or purchase.
func ActivityAttrsOf(kind string) ActivityAttrs {
	return ActivityAttrs{
		LastDate: kind + ".last_date", Count: kind + ".count",
		Count30d: kind + ".count_30d", Count90d: kind + ".count_90d", Count365d: kind + ".count_365d",
	}
}

// traits are the built-in attributes of behaviour.
func traits() []Attribute {
	list := []Attribute{
		{Name: AttrPurchaseFirstDate, Kind: KindDate},
		{Name: AttrPurchaseLastDate, Kind: KindDate},
		{Name: AttrPurchaseCount, Kind: KindDecimal},
		{Name: AttrPurchaseCount30d, Kind: KindDecimal},
		{Name: AttrPurchaseCount90d, Kind: KindDecimal},
		{Name: AttrPurchaseCount365d, Kind: KindDecimal},
		{Name: AttrPurchaseSum, Kind: KindMoney, Scale: 2},
		{Name: AttrPurchaseSum30d, Kind: KindMoney, Scale: 2},
		{Name: AttrPurchaseSum90d, Kind: KindMoney, Scale: 2},
		{Name: AttrPurchaseSum365d, Kind: KindMoney, Scale: 2},
		{Name: AttrPurchaseAverageBasket, Kind: KindMoney, Scale: 2},
		{Name: AttrPurchaseFavouriteChannel, Kind: KindEnum, Values: Channels},
		{Name: AttrPurchaseFavouriteBrand, Kind: KindText},
		{Name: AttrPurchaseFavouriteCategory, Kind: KindText},
		{Name: AttrPurchaseLoyalty, Kind: KindDecimal, Scale: LoyaltyScale},
		{Name: AttrSurveySatisfaction, Kind: KindDecimal, Scale: SatisfactionScale},
	}
	for _, kind := range Activities {
		a := ActivityAttrsOf(kind)
		list = append(list, Attribute{Name: a.LastDate, Kind: KindDate})
		for _, name := range []string{a.Count, a.Count30d, a.Count90d, a.Count365d} {
			list = append(list, Attribute{Name: name, Kind: KindDecimal})
		}
	}
	return list
}
