package behaviour

import (
	"math/bits"
	"sync"
	"time"
)

// counters are kept from call to call for the memory of their maps and lists, which hold nothing between calls.
var counters = sync.Pool{New: func() any { return new(counter) }}

// release forgets a person and keeps the memory for the next one, unless it is that of somebody extraordinary: a map is emptied at
// the price of its size. The map of own kinds went out with the traits.
func (c *counter) release() {
	const ordinary = 4096
	if max(len(c.baskets.orders), len(c.channels.names), len(c.brands.names), len(c.categories.names)) > ordinary {
		return
	}
	c.baskets.reset()
	c.channels.reset()
	c.brands.reset()
	c.categories.reset()
	*c = counter{
		days: dater{spans: c.days.spans[:0]}, baskets: c.baskets, channels: c.channels, brands: c.brands, categories: c.categories,
	}
	counters.Put(c)
}

// dater tells the days of instants in one time zone. A person's events lie in few spans of one offset from UTC (two a year where
// there is daylight saving time), which are looked up once each; the one used last is asked first.
type dater struct {
	location *time.Location
	spans    []span
	last     int
}

// span is the time from one change of the clocks to the next, in seconds since 1970-01-01 UTC, and what the clocks show beyond UTC.
type span struct{ from, until, offset int64 }

func (d *dater) begin(location *time.Location) {
	d.location, d.spans, d.last = location, d.spans[:0], 0
}

func (d *dater) day(t time.Time) int64 {
	seconds := t.Unix()
	if d.location == nil || d.location == time.UTC {
		return floorDay(seconds)
	}
	if d.last < len(d.spans) {
		if s := d.spans[d.last]; s.from <= seconds && seconds < s.until {
			return floorDay(seconds + s.offset)
		}
	}
	for i, s := range d.spans {
		if s.from <= seconds && seconds < s.until {
			d.last = i
			return floorDay(seconds + s.offset)
		}
	}
	local := t.In(d.location)
	_, offset := local.Zone()
	s := span{from: -1 << 63, until: 1<<63 - 1, offset: int64(offset)}
	from, until := local.ZoneBounds() // zero where there is none
	if !from.IsZero() {
		s.from = from.Unix()
	}
	if !until.IsZero() {
		s.until = until.Unix()
	}
	d.last = len(d.spans)
	d.spans = append(d.spans, s)
	return floorDay(seconds + s.offset)
}

func floorDay(seconds int64) int64 {
	const length = 24 * 60 * 60
	day := seconds / length
	if seconds%length < 0 {
		day--
	}
	return day
}

// baskets counts orders. One counts in a window by its last line; in the average by its last line with an amount.
type baskets struct {
	// Those of one line without an order are counted at once, the others when all lines are known.
	count, count30, count90, count365 int64
	places                            map[string]int
	orders                            []order
	last                              string // the order of the line before, whose place is lastAt
	lastAt                            int
	// The sum of 365 days, exactly, and the number of orders that have an amount in them.
	high, low, priced uint64
}

// order is the age in days of an order's last line, and of its last line with an amount; never for none.
type order struct{ age, priced int64 }

const never = 1<<63 - 1

// line adds a line; an amount of -1 is none.
func (b *baskets) line(name string, age, amount int64) {
	priced := int64(never)
	if amount >= 0 && age < year {
		var carry uint64
		b.low, carry = bits.Add64(b.low, uint64(amount), 0)
		b.high += carry
		priced = age
	}
	if name == "" {
		b.one(order{age, priced})
		return
	}
	at := b.lastAt
	if name != b.last {
		var ok bool
		if at, ok = b.places[name]; !ok {
			if b.places == nil {
				b.places = make(map[string]int)
			}
			at = len(b.orders)
			b.places[name] = at
			b.orders = append(b.orders, order{never, never})
		}
		b.last, b.lastAt = name, at
	}
	o := &b.orders[at]
	o.age, o.priced = min(o.age, age), min(o.priced, priced)
}

// one counts a whole order.
func (b *baskets) one(o order) {
	b.count++
	if o.age < year {
		b.count365++
	}
	if o.age < quarter {
		b.count90++
	}
	if o.age < month {
		b.count30++
	}
	if o.priced < year {
		b.priced++
	}
}

// counts closes the counting.
func (b *baskets) counts() (all, in30, in90, in365 int64) {
	for _, o := range b.orders {
		b.one(o)
	}
	return b.count, b.count30, b.count90, b.count365
}

// average is the mean amount of the priced orders, half up, after counts; nil if there are none.
func (b *baskets) average() *int64 {
	if b.priced == 0 {
		return nil
	}
	// floor((2 sum + n) / 2n) in 128 bits; the number of orders is that of things in memory and far below 2^62.
	low, carry := bits.Add64(b.low<<1, b.priced, 0)
	high := b.high<<1 | b.low>>63
	high += carry
	mean := int64(1<<63 - 1)
	if d := 2 * b.priced; high < d {
		if q, _ := bits.Div64(high, low, d); q < 1<<63 {
			mean = int64(q)
		}
	}
	return &mean
}

func (b *baskets) reset() {
	clear(b.places)
	*b = baskets{places: b.places, orders: b.orders[:0]}
}

// use is how often something was used and when last, in microseconds.
type use struct{ count, last int64 }

func (u *use) again(at int64) {
	if u.count == 0 || at > u.last {
		u.last = at
	}
	u.count++
}

// before reports whether something so used comes before another one as favourite.
func (u use) before(v use, name, other string) bool {
	switch {
	case u.count != v.count:
		return u.count > v.count
	case u.last != v.last:
		return u.last > v.last
	}
	return name < other
}

// tally counts uses by name.
type tally struct {
	places map[string]int
	names  []string
	uses   []use
	last   int // the place of the name before
}

func (t *tally) add(name string, at int64) {
	if t.last >= len(t.names) || t.names[t.last] != name {
		place, ok := t.places[name]
		if !ok {
			if t.places == nil {
				t.places = make(map[string]int)
			}
			place = len(t.names)
			t.places[name] = place
			t.names, t.uses = append(t.names, name), append(t.uses, use{})
		}
		t.last = place
	}
	t.uses[t.last].again(at)
}

// favourite returns the name that comes first, and how often it was used; 0 if there is none.
func (t *tally) favourite() (string, int64) {
	best := -1
	for i, u := range t.uses {
		if best < 0 || u.before(t.uses[best], t.names[i], t.names[best]) {
			best = i
		}
	}
	if best < 0 {
		return "", 0
	}
	return t.names[best], t.uses[best].count
}

func (t *tally) reset() {
	clear(t.places)
	clear(t.names)
	*t = tally{places: t.places, names: t.names[:0], uses: t.uses[:0]}
}
