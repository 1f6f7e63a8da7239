package population

// permission is how people decide about one purpose over one channel.
type permission struct {
	purpose, channel string
	// Shares of the decisions; the rest never decided. A granted consent may end on a day.
	granted, denied, withdrawn, ends float64
}

var permissions = []permission{
	{"marketing", "email", .64, .13, .06, .2},
	{"marketing", "sms", .31, .25, .05, .28},
	{"marketing", "post", .42, .12, .03, .1},
	{"marketing", "phone", .14, .4, .05, .3},
	{"ads_personalisation", "", .38, .3, .07, .4},
	{"profiling", "", .47, .2, .04, .2},
	{"measurement", "", .52, .16, .03, .2},
	{"data_sharing", "", .12, .5, .06, .3},
}

// consent draws the decisions. Ends of consents lie from two years before to nine years after the reference day, so that
// on any day some have expired and some are about to.
func (m *maker) consent(p *Person) {
	d := m.d
	list := make([]Consent, 0, 6)
	for i := range permissions {
		k := &permissions[i]
		c := Consent{Purpose: k.purpose, Channel: k.channel}
		switch u := d.unit(); {
		case u < k.granted:
			c.Status = "granted"
			if u < k.granted*k.ends {
				c.Expires = Date{Year: Reference.Year + d.between(-1, 9), Month: d.between(1, 12), Day: d.between(1, 28)}
			}
		case u < k.granted+k.denied:
			c.Status = "denied"
		case u < k.granted+k.denied+k.withdrawn:
			c.Status = "withdrawn"
		default:
			continue
		}
		list = append(list, c)
	}
	p.Consents = list
}

// join draws what the loyalty programme knows.
func (m *maker) join(p *Person) {
	d := m.d
	if p.Lifecycle == "prospect" && !d.chance(.1) {
		p.Newsletter = Answer(1 + at(d.chance(.2)))
		return
	}
	years := min(d.below(12), max(m.age-16, 0))
	p.MemberSince = Date{Year: Reference.Year - years, Month: d.between(1, 12), Day: d.between(1, 28)}
	p.LoyaltyPoints = int64(d.below(40_000) * (1 + years) / 3 * d.between(1, 4))
	p.Newsletter = Answer(1 + at(d.chance(.4)))
	switch {
	case p.LoyaltyPoints > 300_000:
		p.Tier = Tiers[3]
	case p.LoyaltyPoints > 150_000:
		p.Tier = Tiers[2]
	case p.LoyaltyPoints > 40_000:
		p.Tier = Tiers[1]
	default:
		p.Tier = Tiers[0]
	}
	if d.chance(Rates.Hobbies) {
		return
	}
	p.Hobbies = []string{}
	for _, h := range hobbies {
		for _, interest := range p.Interests {
			if interest == h[0] && d.chance(.5) {
				p.Hobbies = append(p.Hobbies, h[1])
			}
		}
	}
}

// forget takes values away, at the stated rates.
func (m *maker) forget(p *Person) {
	d := m.d
	lost := func(rate float64) bool { return d.chance(rate) }
	if lost(Rates.Name) {
		p.GivenName, p.FamilyName = "", ""
	}
	if lost(Rates.Birth) {
		p.Birth = Date{}
	} else if lost(Rates.BirthDay) {
		p.Birth.Month, p.Birth.Day = 0, 0
	}
	if lost(Rates.Gender) {
		p.Gender = ""
	}
	if lost(Rates.Region) {
		p.Region, p.PostalCode = "", ""
	}
	if lost(Rates.Postal) {
		p.PostalCode = ""
	}
	if lost(Rates.Job) {
		p.JobLevel, p.Occupation = "", ""
	}
	if lost(Rates.Income) {
		p.Income = Money{}
	}
	if lost(Rates.Education) {
		p.Education = ""
	}
	if lost(Rates.Marital) {
		p.MaritalStatus = ""
	}
	if lost(Rates.Employer) {
		p.Employer = Employer{}
	} else if lost(Rates.EmployerSize) {
		p.Employer.Size = ""
	}
	if lost(Rates.Household) {
		p.Household = ""
	}
	if lost(Rates.Roles) {
		p.Roles = nil
	}
	if lost(Rates.Lifecycle) {
		p.Lifecycle = ""
	}
	if lost(Rates.Interests) {
		p.Interests = nil
	}
	if lost(Rates.Values) {
		p.Values = nil
	}
	if lost(Rates.Needs) {
		p.Needs = nil
	}
	if lost(Rates.Channels) {
		p.Channels = nil
	}
	if lost(Rates.Brands) {
		p.Brands = nil
	}
	if lost(Rates.Email) {
		p.Email = ""
	}
	if lost(Rates.Phone) {
		p.Phone = ""
	}
	if lost(Rates.Loyalty) {
		p.LoyaltyPoints, p.Tier = -1, ""
	}
}
