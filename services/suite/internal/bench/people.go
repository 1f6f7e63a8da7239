package bench

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Layouts say in which order people are imported.
const (
	// LayoutSorted imports people sorted by region and birth year.
	LayoutSorted = "sorted"
	// LayoutShuffled imports people in random order, and then moves every tenth to another region.
	LayoutShuffled = "shuffled"
)

// crowd is a population. It holds nothing: who somebody is, is computed from a rank, by which people are sorted by region and birth
// year. Memory does not grow with their number.
type crowd struct {
	seed     uint64
	n        int
	shuffled bool
	half     uint // bits of half a position in the permutation
	starts   []int
}

// consentState is what is known of one consent.
type consentState uint8

const (
	consentNone consentState = iota
	consentGranted
	consentDenied
	consentExpired // granted up to a day long ago
	consentDated   // granted up to a day far away
)

func (c consentState) holds() bool { return c == consentGranted || c == consentDated }

// person is one of the crowd. Zero and unset mean that nothing is known.
type person struct {
	rank             int
	region           int // index in regions
	year, month, day int // of birth; year 0: unknown
	gender           int // index in audience.Genders plus 1
	level            int // index in audience.JobLevels plus 1
	income           int64
	education        int // index in audience.Educations plus 1
	marital          int // index in audience.MaritalStatuses plus 1
	lifecycle        int // index in audience.Lifecycles plus 1
	interests        uint32
	tags             uint64
	score, affinity  int
	newsletter       bool
	ads, email       consentState
	lists            uint64 // what membership in static lists is drawn from
}

// place is a region with its weight and all that it lies in.
type place struct {
	code    string
	up      []string
	weight  float64
	country string
}

// interests are drawn independently of each other, each of one person in eight.
var interests = []string{
	"cycling", "sailing", "cooking", "gardening", "reading", "travel", "photography", "music", "football", "tennis", "running", "hiking",
	"painting", "theatre", "cinema", "gaming", "chess", "fishing", "golf", "yoga", "skiing", "surfing", "baking", "astronomy",
}

// frenchParts are the departments of the regions of France, and belgianParts the provinces, by what they lie in.
var frenchParts = map[string][]string{
	"ARA": {"01", "03", "07", "15", "26", "38", "42", "43", "63", "69", "73", "74"},
	"BFC": {"21", "25", "39", "58", "70", "71", "89", "90"},
	"BRE": {"22", "29", "35", "56"},
	"CVL": {"18", "28", "36", "37", "41", "45"},
	"GES": {"08", "10", "51", "52", "54", "55", "57", "67", "68", "88"},
	"HDF": {"02", "59", "60", "62", "80"},
	"IDF": {"75", "77", "78", "91", "92", "93", "94", "95"},
	"NAQ": {"16", "17", "19", "23", "24", "33", "40", "47", "64", "79", "86", "87"},
	"NOR": {"14", "27", "50", "61", "76"},
	"OCC": {"09", "11", "12", "30", "31", "32", "34", "46", "48", "65", "66", "81", "82"},
	"PAC": {"04", "05", "06", "13", "83", "84"},
	"PDL": {"44", "49", "53", "72", "85"},
}

var belgianParts = map[string][]string{"VLG": {"VAN", "VBR", "VLI", "VOV", "VWV"}, "WAL": {"WBR", "WHT", "WLG", "WLX", "WNA"}}

// The regions that questions ask for: one of middling size (about 1.1 % of all), and a country (about half of all).
const (
	midRegion = "FR-40"
	country   = "FR"
)

// regions are where people live, in the order of ranks.
var regions = func() []place {
	var list []place
	spread := func(country string, share float64, codes [][2]string) {
		sum := 0.0
		for i := range codes {
			sum += 1 / float64(i+9)
		}
		for i, c := range codes {
			p := place{code: country + "-" + c[0], country: country, weight: share / float64(i+9) / sum}
			p.up = append(p.up, p.code)
			if c[1] != "" {
				p.up = append(p.up, country+"-"+c[1])
			}
			p.up = append(p.up, country)
			list = append(list, p)
		}
	}
	parts := func(order []string, of map[string][]string) (codes [][2]string) {
		for i := 0; ; i++ { // the first part of each, then the second of each: sizes and parents are mixed
			found := false
			for _, up := range order {
				if i < len(of[up]) {
					codes, found = append(codes, [2]string{of[up][i], up}), true
				}
			}
			if !found {
				return codes
			}
		}
	}
	plain := func(codes ...string) (list [][2]string) {
		for _, c := range codes {
			list = append(list, [2]string{c, ""})
		}
		return list
	}
	french := parts([]string{"IDF", "ARA", "HDF", "OCC", "GES", "PAC", "NOR", "PDL", "BRE", "NAQ", "BFC", "CVL"}, frenchParts)
	// midRegion takes the tenth place, whose share is that of a region of middling size.
	for i, c := range french {
		if "FR-"+c[0] == midRegion {
			french[9], french[i] = french[i], french[9]
		}
	}
	spread("FR", .5, french)
	spread("DE", .26, plain("NW", "BY", "BW", "NI", "HE", "RP", "SN", "BE", "SH", "BB", "ST", "TH", "HH", "MV", "SL", "HB"))
	spread("BE", .1, append(parts([]string{"VLG", "WAL"}, belgianParts), [2]string{"BRU", ""}))
	spread("AT", .07, plain("9", "3", "4", "6", "7", "5", "2", "8", "1"))
	spread("CH", .07, plain("ZH", "BE", "VD", "AG", "SG", "GE", "LU", "TI", "VS", "FR", "BL", "TG", "SO", "GR", "BS", "NE", "SZ", "ZG", "SH", "JU", "AR", "NW", "GL", "OW", "UR", "AI"))
	return list
}()

// Years of birth, from first to last, and how many people each has relative to the fullest.
const (
	firstYear = 1934
	lastYear  = 2009
)

// birthYears is the cumulative share of the years.
var birthYears = func() []float64 {
	var sums []float64
	sum := 0.0
	for y := firstYear; y <= lastYear; y++ {
		w := 1.0
		if y < 1955 {
			w = float64(y-firstYear+1) / float64(1955-firstYear+1)
		}
		sum += w
		sums = append(sums, sum)
	}
	for i := range sums {
		sums[i] /= sum
	}
	return sums
}()

func newCrowd(seed uint64, n int, layout string) *crowd {
	c := &crowd{seed: seed, n: n, shuffled: layout == LayoutShuffled, half: max(1, uint(bits.Len64(uint64(max(n-1, 1)))+1)/2)}
	sum := 0.0
	for _, p := range regions {
		c.starts = append(c.starts, int(sum*float64(n)))
		sum += p.weight
	}
	return c
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draws are random numbers of one person.
type draws uint64

func (d *draws) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return mix(uint64(*d))
}

// pick takes a number below n from 16 bits of u, with a bias too small to matter, as all is counted afterwards.
func pick(u uint64, n int) int { return int((u & 0xffff) * uint64(n) >> 16) }

// weighted picks an index by cumulative weights out of 65,536; what is above the last is unknown, -1.
func weighted(u uint64, sums []uint64) int {
	u &= 0xffff
	for i, s := range sums {
		if u < s {
			return i
		}
	}
	return -1
}

// Cumulative shares out of 65,536. What is left is unknown.
var (
	genderShares    = cumulative(.495, .485, .008)
	levelShares     = cumulative(.02, .04, .25, .22, .13, .02, .008, .005, .004, .035) // in the order of audience.JobLevels
	educationShares = cumulative(.02, .05, .25, .2, .12, .15, .1, .02)
	maritalShares   = cumulative(.3, .35, .12, .03, .1, .05)
	lifecycleShares = cumulative(.55, .3, .1)
	adsShares       = cumulative(.2, .5, .2, .03, .05) // in the order of consentState
	emailShares     = cumulative(.25, .42, .25, .04, .04)
)

func cumulative(shares ...float64) []uint64 {
	sums := make([]uint64, len(shares))
	sum := 0.0
	for i, s := range shares {
		sum += s
		sums[i] = uint64(sum * 65536)
	}
	return sums
}

// monthDays are the days of the months of a common year.
var monthDays = [12]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// at returns the person of a rank, from 0 up to but not including n, as everybody is once all moves are made. moved false: as they were before.
func (c *crowd) at(rank int, moved bool) person {
	d := draws(mix(c.seed ^ mix(uint64(rank))))
	p := person{rank: rank}
	// Region and birth year follow the rank, so that the order of ranks is the sorted one.
	for p.region = len(regions) - 1; c.starts[p.region] > rank; p.region-- {
	}
	end := c.n
	if p.region+1 < len(regions) {
		end = c.starts[p.region+1]
	}
	within := (float64(rank-c.starts[p.region]) + .5) / float64(end-c.starts[p.region])

	a, b := d.next(), d.next()
	if a>>48 < 64000 { // of about 2 % nothing is known of the birth
		p.year = firstYear
		for birthYears[p.year-firstYear] < within && p.year < lastYear {
			p.year++
		}
		p.day = 1 + pick(a, 365)
		for p.month = 1; p.day > monthDays[p.month-1]; p.month++ {
			p.day -= monthDays[p.month-1]
		}
		if p.month == 2 && p.day == 28 && p.year%4 == 0 && a&0x10000 != 0 {
			p.day = 29
		}
	}
	p.gender = weighted(b, genderShares) + 1
	p.level = weighted(b>>16, levelShares) + 1
	p.education = weighted(b>>32, educationShares) + 1
	p.marital = weighted(b>>48, maritalShares) + 1
	e := d.next()
	if e>>48 < 59000 { // nine in ten have an income, in hundreds of euros, 5,000 to 85,000, most in the middle
		three := e&0xffff + e>>16&0xffff + e>>32&0xffff
		p.income = int64(5_000+three*80_000/(3*0x10000)) / 100 * 100
	}
	f := d.next()
	p.lifecycle = weighted(f, lifecycleShares) + 1
	p.ads, p.email = consentState(max(0, weighted(f>>16, adsShares))), consentState(max(0, weighted(f>>32, emailShares)))
	p.newsletter = f>>63 == 1
	// Three random words ANDed leave each bit with a chance of one in eight.
	h, i, j := d.next(), d.next(), d.next()
	p.interests = uint32(h&i&j) & (1<<len(interests) - 1)
	g := d.next()
	p.score, p.affinity = pick(g, 1000), pick(g>>16, 1000)
	p.lists = d.next()
	for i := range tagDensities {
		if mix(p.lists+uint64(i)*0xd1342543de82ef95)>>32 < tagDensities[i] {
			p.tags |= 1 << i
		}
	}
	if moved && c.moves(rank) {
		p.region = (p.region + 1 + pick(mix(uint64(d)^0x6d6f7665), len(regions)-1)) % len(regions)
	}
	return p
}

// moves reports whether somebody moves to another region after the import: every tenth where people come in random order.
func (c *crowd) moves(rank int) bool {
	return c.shuffled && mix(c.seed^mix(uint64(rank)^0x6d6f766572))%10 == 0
}

// age is somebody's age in whole years on a day, and whether it is known. Who is born on 29 February is a year older on 1 March of
// common years.
func (p *person) age(on day) (int, bool) {
	if p.year == 0 {
		return 0, false
	}
	years := on.year - p.year
	if on.month < p.month || on.month == p.month && on.day < p.day {
		years--
	}
	return years, true
}

// aged reports whether somebody's age is known and from lo to hi.
func (p *person) aged(on day, lo, hi int) bool {
	age, ok := p.age(on)
	return ok && age >= lo && age <= hi
}

func (p *person) within(code string) bool {
	for _, up := range regions[p.region].up {
		if up == code {
			return true
		}
	}
	return false
}

// day is a day of the calendar.
type day struct{ year, month, day int }

// dayOf is the day of a moment in UTC, the zone of the store.
func dayOf(t time.Time) day {
	y, m, d := t.UTC().Date()
	return day{y, int(m), d}
}

// position is the place of a rank in the order of the import, and rank is its inverse.
func (c *crowd) position(rank int) int {
	if !c.shuffled {
		return rank
	}
	for x := uint64(rank); ; {
		if x = c.permute(x); x < uint64(c.n) {
			return int(x)
		}
	}
}

func (c *crowd) rank(position int) int {
	if !c.shuffled {
		return position
	}
	for x := uint64(position); ; {
		if x = c.unpermute(x); x < uint64(c.n) {
			return int(x)
		}
	}
}

// permute is a Feistel network of four rounds over the smallest even number of bits that holds a position. Who falls out of the range
// walks on, which keeps it a permutation of the range.
func (c *crowd) permute(x uint64) uint64 {
	mask := uint64(1)<<c.half - 1
	l, r := x>>c.half, x&mask
	for round := range uint64(4) {
		l, r = r, l^mix(r^c.seed^round<<56)&mask
	}
	return l<<c.half | r
}

func (c *crowd) unpermute(x uint64) uint64 {
	mask := uint64(1)<<c.half - 1
	l, r := x>>c.half, x&mask
	for round := uint64(4); round > 0; round-- {
		l, r = r^mix(l^c.seed^(round-1)<<56)&mask, l
	}
	return l<<c.half | r
}

// uid is the name of somebody: a UUIDv7 whose time follows the order of the import, as the uids that the service itself would give.
func (c *crowd) uid(rank int) (u audience.UID) {
	position := uint64(c.position(rank))
	const begun = 1_700_000_000_000 // ms since 1970, in November 2023
	binary.BigEndian.PutUint64(u[:8], (begun+position/4)<<16)
	random := mix(c.seed ^ mix(uint64(rank)^0x756964))
	u[6], u[7] = 0x70|byte(position&3)<<2|byte(random>>8&3), byte(random)
	binary.BigEndian.PutUint64(u[8:], mix(random)>>2|1<<63)
	return u
}

// seal is a hash of a uid. The seals of a set, XORed, tell one set from another.
func seal(u audience.UID) uint64 {
	return mix(binary.BigEndian.Uint64(u[:8]) ^ mix(binary.BigEndian.Uint64(u[8:])))
}
