package record

import (
	"maps"
	"slices"

	"github.com/narrowcast/narrowcast/services/profile"
)

func (w *writer) traits(t *profile.Traits) {
	p := &t.Purchases
	w.field(fTraits, func() {
		w.string(p.Currency)
		for _, sum := range [...]int64{p.Sum, p.Sum30, p.Sum90, p.Sum365} {
			w.int(sum)
		}
	})
	for _, kind := range profile.EventKinds {
		w.activity(kind, t.Activity(kind))
	}
	if len(t.Own) > 0 {
		for _, kind := range slices.Sorted(maps.Keys(t.Own)) {
			a := t.Own[kind]
			w.activity(kind, &a)
		}
	}
	if p.First != 0 {
		w.field(fFirstPurchase, func() { w.int(p.First) })
	}
	w.optionalInt(fAverageBasket, p.AverageBasket)
	w.text(fFavouriteChannel, p.FavouriteChannel)
	w.text(fFavouriteBrand, p.FavouriteBrand)
	w.text(fFavouriteCategory, p.FavouriteCategory)
	w.optionalInt(fLoyalty, p.Loyalty)
	w.optionalInt(fSatisfaction, t.Satisfaction)
	w.text(fDeclaredLifecycle, t.Declared)
}

// activity writes what is not that of no event.
func (w *writer) activity(kind string, a *profile.Activity) {
	if *a == (profile.Activity{}) {
		return
	}
	w.field(fActivity, func() {
		w.string(kind)
		for _, n := range [...]int64{a.Last, a.Count, a.Count30, a.Count90, a.Count365} {
			w.int(n)
		}
	})
}

func (w *writer) optionalInt(number uint64, n *int64) {
	if n != nil {
		w.field(number, func() { w.int(*n) })
	}
}

func (r *reader) traits(number uint64, t *profile.Traits) {
	p := &t.Purchases
	switch number {
	case fTraits:
		p.Currency = r.string()
		for _, sum := range [...]*int64{&p.Sum, &p.Sum30, &p.Sum90, &p.Sum365} {
			*sum = r.int()
		}
	case fActivity:
		kind := r.string()
		a := profile.Activity{Last: r.int(), Count: r.int(), Count30: r.int(), Count90: r.int(), Count365: r.int()}
		if built := t.Activity(kind); built != nil {
			*built = a
			return
		}
		if t.Own == nil {
			t.Own = make(map[string]profile.Activity)
		}
		t.Own[kind] = a
	case fFirstPurchase:
		p.First = r.int()
	case fAverageBasket:
		p.AverageBasket = r.optionalInt()
	case fFavouriteChannel:
		p.FavouriteChannel = r.text
	case fFavouriteBrand:
		p.FavouriteBrand = r.text
	case fFavouriteCategory:
		p.FavouriteCategory = r.text
	case fLoyalty:
		p.Loyalty = r.optionalInt()
	case fSatisfaction:
		t.Satisfaction = r.optionalInt()
	case fDeclaredLifecycle:
		t.Declared = r.text
	}
}

func (r *reader) optionalInt() *int64 {
	n := r.int()
	return &n
}
