package sqlstore_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/behaviour"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// table reads a file of the Complete Journey, each line by the names of its columns.
func table(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(testkit.SharedData(t, "completejourney", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if filepath.Ext(name) == ".gz" {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	all, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, fields := range all[1:] {
		row := make(map[string]string, len(fields))
		for i, column := range all[0] {
			row[column] = fields[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// journey is a year of purchases and redemptions, in the order in which they happened.
type journey struct {
	rows       []profile.EventRow
	lines      []map[string]string // of the purchases
	categories map[string]string   // by product
	brands     map[string]string
}

func household(id string) profile.Identifier {
	return profile.Identifier{Kind: profile.KindExternalID, Source: "completejourney", Value: id}
}

// cents reads an amount to the nearest cent: one in the file is 4.440892e-16.
func cents(t *testing.T, text string) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok || r.Sign() < 0 {
		t.Fatalf("%q is no amount", text)
	}
	r.Add(r.Mul(r, big.NewRat(100, 1)), big.NewRat(1, 2))
	return new(big.Int).Quo(r.Num(), r.Denom()).Int64()
}

// played says whether a household plays: of ten one, where each step takes many times as long.
func played(household string) bool { return !testkit.Race || strings.HasSuffix(household, "2") }

func readJourney(t *testing.T) *journey {
	j := &journey{lines: table(t, "transactions_sample.csv.gz"), categories: make(map[string]string), brands: make(map[string]string)}
	for _, p := range table(t, "products.csv.gz") {
		j.brands[p["product_id"]] = p["brand"]
		if p["product_category"] != "NA" {
			j.categories[p["product_id"]] = p["product_category"]
		}
	}
	add := func(id, of, at string, e profile.Event) {
		if !played(of) {
			return
		}
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		e.ID, e.Time = id, when
		if err := e.Canonicalize(); err != nil {
			t.Fatalf("event %s: %v", id, err)
		}
		j.rows = append(j.rows, profile.EventRow{Event: &e, Whose: household(of)})
	}
	for i, l := range j.lines {
		add("line-"+number(i), l["household_id"], l["transaction_timestamp"], profile.Event{
			Kind: profile.EventPurchase, Order: l["basket_id"], Amount: &profile.Money{Currency: "USD", Amount: cents(t, l["sales_value"])},
			Brand: j.brands[l["product_id"]], Category: j.categories[l["product_id"]], Channel: "in_person",
		})
	}
	for i, r := range table(t, "coupon_redemptions.csv") {
		add("redemption-"+number(i), r["household_id"], r["redemption_date"]+"T12:00:00Z", profile.Event{
			Kind: "coupon_redemption", Campaign: "campaigns/c" + r["campaign_id"], Details: map[string]string{"coupon": r["coupon_upc"]},
		})
	}
	slices.SortStableFunc(j.rows, func(a, b profile.EventRow) int { return a.Event.Time.Compare(b.Event.Time) })
	return j
}

func number(n int) string { return big.NewInt(int64(n)).String() }

// imported imports rows behind those that are there, and makes the households that are not.
func imported(t *testing.T, s *sqlstore.Store, rows []profile.EventRow) {
	t.Helper()
	p, _, err := s.EventImportProgress(t.Context(), "journey")
	if err != nil {
		t.Fatal(err)
	}
	for unit := range slices.Chunk(rows, 5000) {
		mine := make([]profile.EventRow, len(unit))
		for i, r := range unit {
			mine[i] = profile.EventRow{Event: r.Event.Clone(), Whose: r.Whose}
		}
		if _, p, _, err = s.ImportEvents(t.Context(), "journey", p.Through, mine, true); err != nil {
			t.Fatal(err)
		}
	}
	if p.Rejected != 0 || p.Duplicates != 0 {
		t.Fatalf("the import came to %+v", p)
	}
}

// people are the households by their id.
func people(t *testing.T, s *sqlstore.Store) map[string]*profile.Profile {
	t.Helper()
	all := make(map[string]*profile.Profile)
	var after audience.UID
	for {
		page, err := s.List(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		for _, p := range page {
			all[p.Identifiers[0].Value] = p
			after = p.UID
		}
	}
}

// TestAYearOfPurchasesDayByDayIsTheYearAtOnce plays what real households bought and redeemed, with the clock turning and the daily work
// done, and compares everybody with a store that got all of it at the end, and with sums made from the file.
func TestAYearOfPurchasesDayByDayIsTheYearAtOnce(t *testing.T) {
	t.Parallel()
	j := readJourney(t)
	settings := behaviour.Settings{Currency: "USD"}
	now := time.Date(2016, 12, 31, 0, 0, 1, 0, time.UTC)
	clock := func() time.Time { return now }
	daily, atOnce := open(t, sqlstore.Config{Now: clock, Behaviour: settings}), open(t, sqlstore.Config{Now: clock, Behaviour: settings})
	last := time.Date(2018, 2, 1, 0, 0, 1, 0, time.UTC) // all windows of 30 days have passed by then
	recomputed, at := 0, 0
	for ; !now.After(last); now = now.AddDate(0, 0, 1) {
		recomputed += recompute(t, daily)
		end := at
		for end < len(j.rows) && j.rows[end].Event.Time.Before(now.AddDate(0, 0, 1)) {
			end++
		}
		imported(t, daily, j.rows[at:end])
		at = end
	}
	now = last
	if at != len(j.rows) {
		t.Fatalf("%d of %d events were played", at, len(j.rows))
	}
	imported(t, atOnce, j.rows)
	have, want := people(t, daily), people(t, atOnce)
	t.Logf("%d households, %d events, %d recomputed by the day", len(want), at, recomputed)
	for id, w := range want {
		h := have[id]
		if h == nil || !reflect.DeepEqual(h.Traits, w.Traits) || h.Lifecycle != w.Lifecycle {
			t.Fatalf("day by day the household %s is %+v, at once %+v", id, h, w)
		}
	}
	if len(have) != len(want) || recomputed == 0 {
		t.Errorf("%d households day by day, %d at once; %d were recomputed", len(have), len(want), recomputed)
	}
	j.compare(t, want, last)
}

// tally is what the file says of one household, as of a day.
type tally struct {
	first, last             string
	sums                    [4]int64 // all, 365, 90 and 30 days
	orders                  [4]map[string]bool
	brands                  map[string]int
	redemptions, redemption int // all, of 90 days
}

// compare adds up the file with other code than the product's: days are texts, and windows are looked up by their first day.
func (j *journey) compare(t *testing.T, people map[string]*profile.Profile, today time.Time) {
	t.Helper()
	from := func(window int) string { return today.AddDate(0, 0, 1-window).Format(time.DateOnly) }
	begin := [4]string{"", from(365), from(90), from(30)}
	tallies := make(map[string]*tally)
	of := func(id string) *tally {
		if tallies[id] == nil {
			tallies[id] = &tally{brands: make(map[string]int)}
			for i := range tallies[id].orders {
				tallies[id].orders[i] = make(map[string]bool)
			}
		}
		return tallies[id]
	}
	for _, l := range j.lines {
		if !played(l["household_id"]) {
			continue
		}
		c := of(l["household_id"])
		day := l["transaction_timestamp"][:len(time.DateOnly)]
		if c.first == "" || day < c.first {
			c.first = day
		}
		c.last = max(c.last, day)
		for i, first := range begin {
			if day >= first {
				c.sums[i] += cents(t, l["sales_value"])
				c.orders[i][l["basket_id"]] = true
			}
		}
		if brand := j.brands[l["product_id"]]; day >= begin[1] && brand != "" {
			c.brands[brand]++
		}
	}
	for _, r := range table(t, "coupon_redemptions.csv") {
		if !played(r["household_id"]) {
			continue
		}
		c := of(r["household_id"])
		c.redemptions++
		if r["redemption_date"] >= begin[2] {
			c.redemption++
		}
	}
	if len(tallies) != len(people) || len(people) < 200 {
		t.Errorf("%d households are in the file, %d are stored", len(tallies), len(people))
	}
	date := func(day int64) string { return time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly) }
	loyal, lapsing := 0, 0
	for id, c := range tallies {
		p := people[id].Traits
		if own := p.Own["coupon_redemption"]; own.Count != int64(c.redemptions) || own.Count90 != int64(c.redemption) {
			t.Errorf("household %s redeemed %+v; the file says %d and %d", id, own, c.redemptions, c.redemption)
		}
		b := p.Purchases
		if c.first == "" {
			if b.Count != 0 {
				t.Errorf("household %s bought nothing and has %+v", id, b)
			}
			continue
		}
		if date(b.First) != c.first || date(b.Last) != c.last {
			t.Errorf("household %s bought from %s to %s, want %s to %s", id, date(b.First), date(b.Last), c.first, c.last)
		}
		if got := [4]int64{b.Sum, b.Sum365, b.Sum90, b.Sum30}; got != c.sums {
			t.Errorf("household %s spent %v, want %v", id, got, c.sums)
		}
		for i, got := range [4]int64{b.Count, b.Count365, b.Count90, b.Count30} {
			if got != int64(len(c.orders[i])) {
				t.Errorf("household %s has %d orders since %q, want %d", id, got, begin[i], len(c.orders[i]))
			}
		}
		if n := int64(len(c.orders[1])); n == 0 {
			lapsing++
			if b.AverageBasket != nil {
				t.Errorf("household %s has a basket of %d without an order", id, *b.AverageBasket)
			}
		} else if *b.AverageBasket != (2*c.sums[1]+n)/(2*n) {
			t.Errorf("household %s has baskets of %d, want %d in %d orders", id, *b.AverageBasket, c.sums[1], n)
		}
		most := slices.Max(append(slices.Collect(maps.Values(c.brands)), 0))
		if strings.TrimSpace(b.FavouriteBrand) != b.FavouriteBrand || c.brands[b.FavouriteBrand] != most {
			t.Errorf("household %s likes %q best, of %v", id, b.FavouriteBrand, c.brands)
		}
		if b.Loyalty != nil && *b.Loyalty > 5000 {
			loyal++
		}
	}
	if loyal == 0 || lapsing == 0 {
		t.Errorf("%d households are loyal and %d bought nothing for a year: nothing to tell apart", loyal, lapsing)
	}
}
