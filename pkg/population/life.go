package population

import "strconv"

// maker makes one person, step by step: what follows depends on what came before. What it knows of the person is complete;
// only forget, the last step, takes values away, so that a missing value does not make the others less true.
type maker struct {
	*Population
	d         *draw
	home      *home
	age       int
	gender    int // 0 female, 1 male, 2 other
	first     name
	lead      bool // manager or above
	level     int  // index in levels, -1: no job
	schooling int  // index in educations
	branch    int  // index in industries, with a job
	adult     bool
}

var (
	genders    = []string{"female", "male", "other"}
	educations = []string{"none", "primary", "secondary", "vocational", "bachelor", "master", "doctorate"}
	levels     = []string{"unpaid", "training", "entry", "senior", "manager", "director", "vp", "cxo", "partner", "owner"}
	// wages are yearly incomes in France, in EUR, by level.
	wages = []float64{9000, 15500, 24500, 34000, 47000, 74000, 98000, 135000, 118000, 52000}
)

const (
	levelUnpaid = iota
	levelTraining
	levelEntry
	levelSenior
	levelManager
	levelDirector
	levelOwner = 9
)

// nature draws who the person is by birth and home.
func (m *maker) nature(p *Person) {
	d, h := m.d, m.home
	m.age, m.gender = h.head, h.gender
	switch {
	case h.member == 1: // a partner, mostly of the other gender
		m.age = min(max(h.head+int(d.bell()*3), 18), 97)
		if !d.chance(.05) {
			m.gender = 1 - h.gender
		}
	case h.member > 1 && h.head >= 38: // a child who is old enough to be a customer
		m.age = d.between(16, min(30, h.head-20))
		m.gender = d.below(2)
	case h.member > 1: // a flatmate
		m.age = min(max(h.head+int(d.bell()*4), 17), 60)
		m.gender = d.below(2)
	}
	if d.chance(.008) {
		m.gender = 2
	}
	m.adult = m.age >= 18
	p.Gender = genders[m.gender]
	p.Birth = Date{Year: Reference.Year - m.age, Month: d.between(1, 12)}
	p.Birth.Day = d.between(1, daysIn(p.Birth.Year, p.Birth.Month))
	p.Region, p.PostalCode = h.place.code, h.postal
	if d.chance(.03) {
		p.Region, p.PostalCode = h.place.country.code, "" // only the country is known
	}
	given := h.place.country.names.female
	if m.gender == 1 || m.gender == 2 && d.chance(.5) {
		given = h.place.country.names.male
	}
	m.first = given[d.below(len(given))]
	p.GivenName, p.FamilyName = m.first.text, h.family.text
	if h.size > 1 && h.member == 1 && d.chance(.35) { // kept the own name
		own := h.place.country.names.family
		p.FamilyName = own[d.below(len(own))].text
	}
	p.Household = padded('H', int(h.id), 7)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// educated is the chance of each education by generation: born before 1955, before 1980, later.
var educated = []weighted{
	weigh([]float64{5, 24, 27, 26, 9, 7, 2}),
	weigh([]float64{2, 7, 24, 30, 18, 16, 3}),
	weigh([]float64{1, 3, 21, 22, 26, 24, 3}),
}

func (m *maker) study(p *Person) {
	generation := 2
	switch {
	case p.Birth.Year < 1955:
		generation = 0
	case p.Birth.Year < 1980:
		generation = 1
	}
	m.schooling = educated[generation].draw(m.d)
	// What takes time cannot be finished early.
	for _, limit := range []struct{ age, most int }{{18, 1}, {20, 2}, {21, 3}, {23, 4}, {27, 5}} {
		if m.age < limit.age {
			m.schooling = min(m.schooling, limit.most)
			break
		}
	}
	p.Education = educations[m.schooling]
}

// topShare is the share of directors and above among those who work, by age.
func topShare(age int) float64 {
	switch {
	case age < 20:
		return .01
	case age < 25:
		return .08
	case age < 30:
		return .12
	case age < 35:
		return .14
	case age < 45:
		return .15
	}
	return .16
}

var topLevels = weigh([]float64{42, 10, 10, 9, 29})

func (m *maker) work(p *Person) {
	d := m.d
	m.level = -1
	var wage float64
	switch {
	case m.age < 18, m.age < 26 && d.chance(.85-float64(m.age-17)*.1):
		p.Occupation = "student"
		wage = 3500
	case m.age >= 62 && d.chance(min(.45+float64(m.age-62)*.11, .97)):
		p.Occupation = "retired"
		wage = 19500
	case d.chance(.075):
		p.Occupation = d.pick([]string{"looking for work", "at home"})
		wage = 8500
	default:
		m.job(p)
		wage = wages[m.level] * (.8 + .35*min(float64(max(m.age-20, 0))/30, 1))
	}
	wage *= 1 + .06*float64(m.schooling-3)
	wage *= max(1+.24*d.bell(), .35)
	c := m.home.place.country
	p.Income = Money{Currency: c.currency, Cents: int64(wage*c.wage/100) * 100 * 100}
}

// job draws the level, then the employer that offers it.
func (m *maker) job(p *Person) {
	d := m.d
	schooled := []float64{.5, .5, .65, .75, 1.15, 1.6, 1.7}[m.schooling]
	if m.home.place.traits&city != 0 {
		schooled *= 1.15
	}
	switch young := m.age < 30; {
	case d.chance(topShare(m.age) * schooled):
		m.level = levelDirector + topLevels.draw(d)
	case d.chance([]float64{.05, .17}[at(m.age >= 27)] * schooled):
		m.level = levelManager
	case m.age < 26 && d.chance(.2):
		m.level = levelTraining
	case d.chance(.015):
		m.level = levelUnpaid
	case d.chance([]float64{.22, .6}[at(young)]):
		m.level = levelEntry
	default:
		m.level = levelSenior
	}
	m.lead = m.level >= levelManager
	p.JobLevel = levels[m.level]
	e := m.employers[m.worksAt.draw(d)]
	p.Employer = Employer{Name: e.name, Industry: industries[e.industry].text, Size: e.size}
	m.branch = e.industry
	if m.level == levelOwner && d.chance(.8) { // of a firm that carries the owner's name
		p.Employer.Name = p.FamilyName + " " + firmMiddle[d.below(len(firmMiddle))]
		p.Employer.Size = []string{"1", "2-10", "11-50"}[min(d.below(10)/4, 2)]
	}
	rank := 0
	switch {
	case m.level >= levelDirector:
		rank = 2
	case m.level == levelManager:
		rank = 1
	}
	p.Occupation = industries[m.branch].jobs[rank]
}

func at(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// standing draws how the person lives and where they stand towards the business.
func (m *maker) standing(p *Person) {
	d := m.d
	u := d.unit()
	switch couple := m.home.size > 1 && m.home.member < 2; {
	case couple && m.age < 30:
		p.MaritalStatus = []string{"cohabiting", "married"}[at(u < .2)]
	case couple:
		p.MaritalStatus = []string{"cohabiting", "married"}[at(u < .74)]
	case m.age < 30:
		p.MaritalStatus = "single"
	case m.age >= 70 && u < .45:
		p.MaritalStatus = "widowed"
	case u < .4:
		p.MaritalStatus = "divorced"
	case u < .47:
		p.MaritalStatus = "separated"
	case u < .53:
		p.MaritalStatus = "widowed"
	default:
		p.MaritalStatus = "single"
	}
	switch u = d.unit(); {
	case u < .3+.2*float64(at(m.age < 25)):
		p.Lifecycle = "prospect"
	case u < .83:
		p.Lifecycle = "customer"
	default:
		p.Lifecycle = "lapsed"
	}
	roles := make([]string, 0, 3)
	if d.chance(.8) {
		roles = append(roles, "consumer")
	}
	if d.chance(.15 + .5*float64(at(m.adult)) + .15*float64(at(m.home.member == 0))) {
		roles = append(roles, "buyer")
	}
	if d.chance(.06 + .16*float64(at(m.lead)) + .1*float64(at(m.level >= 0 && m.schooling >= 5))) {
		roles = append(roles, "prescriber")
	}
	p.Roles = roles
}

// like draws tastes.
func (m *maker) like(p *Person) {
	band, here := bandOf(m.age), m.home.place.traits
	p.Interests = m.interests.draw(m.d, band, m.gender, m.lead, here)
	p.Values = m.values.draw(m.d, band, m.gender, m.lead, here)
	p.Needs = m.needs.draw(m.d, band, m.gender, m.lead, here)
	p.Channels = m.channels.draw(m.d, band, m.gender, m.lead, here)
	p.Brands = m.brands.draw(m.d, band, m.gender, m.lead, here)
}

// reach draws addresses. Numbers that are kept for fiction are few, so several people share one where there are many.
func (m *maker) reach(p *Person) {
	d := m.d
	out := make([]byte, 0, 48)
	out = append(out, m.first.ascii...)
	out = append(out, '.')
	out = append(out, m.home.family.ascii...)
	out = strconv.AppendInt(append(out, '.'), int64(p.Index), 36)
	p.Email = string(append(out, []string{"@example.com", "@example.org", "@example.net"}[min(d.below(10)/4, 2)]...))
	if pattern := m.home.place.country.phone; pattern != "" {
		p.Phone = fill(d, pattern)
	}
	m.consent(p)
}
