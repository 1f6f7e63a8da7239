package population

import (
	"iter"
	"strconv"
)

// DefaultSize is how many people the first run makes.
const DefaultSize = 200_000

// Reference is the day as of which ages are drawn. It is fixed: the same people are a year older a year later.
var Reference = Date{Year: 2025, Month: 12, Day: 31}

// Kinds of streams, so that a person and a household of the same number have nothing in common.
const (
	kindPlace = iota + 1
	kindEmployer
	kindHousehold
	kindPerson
)

// Rates are the shares of people whose value is missing.
var Rates = struct {
	Name, Birth, BirthDay, Gender, Region, Postal, Job, Income, Education, Marital, Employer, EmployerSize, Household,
	Roles, Lifecycle, Interests, Values, Needs, Channels, Brands, Email, Phone, Loyalty, Hobbies float64
}{
	Name: .02, Birth: .03, BirthDay: .06, // BirthDay: of those with a birth year
	Gender: .03, Region: .015, Postal: .07, Job: .06, Income: .25, Education: .1, Marital: .12, Employer: .15, EmployerSize: .1,
	Household: .1, Roles: .2, Lifecycle: .02, Interests: .05, Values: .4, Needs: .4, Channels: .15, Brands: .35, Email: .12, Phone: .3,
	Loyalty: .35, Hobbies: .6,
}

// Population is the people of one seed. It is immutable and safe for concurrent use.
type Population struct {
	seed      uint64
	size      int
	places    []place
	where     weighted
	employers []employer
	worksAt   weighted

	interests, values, needs, brands, channels *likes
}

// New returns the population of n people of a seed; n below zero counts as zero. A larger population of the same seed
// begins with the same people, except that the last household may be larger.
func New(seed uint64, n int) *Population {
	p := &Population{
		seed: seed, size: max(n, 0),
		interests: makeLikes(interests), values: makeLikes(values), needs: makeLikes(needs), brands: makeLikes(brands),
		channels: makeLikes(channels),
	}
	p.places, p.where = makePlaces()
	p.employers, p.worksAt = makeEmployers(seed)
	return p
}

// Len returns the number of people.
func (p *Population) Len() int { return p.size }

// All returns the people in order, by index. A Person is the caller's to keep.
func (p *Population) All() iter.Seq2[int, Person] { return p.From(0) }

// From returns the people from an index on, so that work that broke off goes on where it was.
func (p *Population) From(first int) iter.Seq2[int, Person] {
	return func(yield func(int, Person) bool) {
		for i := max(first, 0); i < p.size; i++ {
			if !yield(i, p.Person(i)) {
				return
			}
		}
	}
}

// home is what the members of a household share.
type home struct {
	id     uint64
	size   int
	member int // of the person in question, from 0
	place  *place
	postal string
	family name
	head   int // age of the first member, in years, on the reference day
	gender int // of the first member
}

// Households live in groups of four consecutive people, so that a person's household is found without looking at others.
const groupSize = 4

var (
	groupings    = [][]int{{1, 1, 1, 1}, {2, 1, 1}, {1, 2, 1}, {2, 2}, {3, 1}, {4}}
	groupWeights = weigh([]float64{24, 16, 14, 24, 12, 10})
	headAges     = weigh([]float64{11, 20, 18, 17, 15, 12, 7})
	headFrom     = []int{18, 25, 35, 45, 55, 65, 75, 96} // bounds of headAges
)

func (p *Population) home(i int) home {
	group := i / groupSize
	d := stream(p.seed, kindHousehold, uint64(group)*(groupSize+1))
	first := group * groupSize
	h := home{}
	for _, size := range groupings[groupWeights.draw(&d)] {
		if i < first+size {
			h.size, h.member = size, i-first
			break
		}
		first += size
	}
	h.id = uint64(first)
	d = stream(p.seed, kindHousehold, uint64(group)*(groupSize+1)+1+uint64(first%groupSize))
	h.place = &p.places[p.where.draw(&d)]
	h.postal = d.pick(h.place.postal)
	h.family = h.place.country.names.family[d.below(len(h.place.country.names.family))]
	band := headAges.draw(&d)
	h.head = d.between(headFrom[band], headFrom[band+1]-1)
	h.gender = d.below(2)
	return h
}

// Person returns person i, from 0. Beyond the size it returns a person too: size only bounds the iterators.
func (p *Population) Person(i int) Person {
	h := p.home(i)
	d := stream(p.seed, kindPerson, uint64(i))
	m := maker{Population: p, d: &d, home: &h}
	person := Person{Index: i, ExternalID: padded('P', i, 7), LoyaltyPoints: -1}
	m.nature(&person)
	m.study(&person)
	m.work(&person)
	m.standing(&person)
	m.like(&person)
	m.reach(&person)
	m.join(&person)
	m.forget(&person)
	return person
}

// padded returns a letter and a number of at least so many digits.
func padded(letter byte, n, digits int) string {
	out := make([]byte, 0, 12)
	out = append(out, letter)
	for at := digits - 1; at > 0; at-- {
		if n < pow10(at) {
			out = append(out, '0')
		}
	}
	return string(strconv.AppendInt(out, int64(n), 10))
}

func pow10(n int) int {
	x := 1
	for range n {
		x *= 10
	}
	return x
}
