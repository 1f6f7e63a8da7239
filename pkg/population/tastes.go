package population

// ageBand is a stage of life, as far as tastes depend on it.
type ageBand int

const (
	young  ageBand = iota // under 35
	middle                // 35 to 59
	older                 // 60 and more
)

func bandOf(age int) ageBand {
	switch {
	case age < 35:
		return young
	case age < 60:
		return middle
	}
	return older
}

// taste is something that some people like more than others.
type taste struct {
	text  string
	share [3]float64 // by ageBand
	women float64    // share among women divided by the mean of women and men; men: 2 minus that
	where trait      // where it is liked more
	times float64    // how much more
	lead  float64    // how much more managers and above like it; 0: no more
}

// interests are what people may be interested in.
var interests = []taste{
	{text: "cycling", share: [3]float64{.22, .19, .11}, women: .85, where: flat | vineyard, times: 1.6, lead: 1.6},
	{text: "running", share: [3]float64{.24, .17, .05}, women: .95, lead: 1.3},
	{text: "hiking", share: [3]float64{.17, .24, .26}, women: 1.05, where: mountain, times: 1.7},
	{text: "surfing", share: [3]float64{.05, .025, .005}, women: .8, where: coast, times: 3},
	{text: "skiing", share: [3]float64{.1, .1, .05}, women: .9, where: mountain, times: 2.5, lead: 1.6},
	{text: "sailing", share: [3]float64{.02, .04, .05}, women: .7, where: coast, times: 2.6, lead: 1.8},
	{text: "swimming", share: [3]float64{.13, .12, .12}, women: 1.15},
	{text: "football", share: [3]float64{.26, .2, .13}, women: .5},
	{text: "rugby", share: [3]float64{.07, .07, .05}, women: .5},
	{text: "tennis", share: [3]float64{.07, .07, .05}, women: .9, lead: 1.5},
	{text: "golf", share: [3]float64{.015, .035, .06}, women: .6, lead: 3},
	{text: "yoga", share: [3]float64{.13, .11, .07}, women: 1.6},
	{text: "climbing", share: [3]float64{.08, .03, .005}, women: .9, where: mountain, times: 2},
	{text: "gardening", share: [3]float64{.08, .24, .38}, women: 1.1},
	{text: "cooking", share: [3]float64{.26, .29, .28}, women: 1.2},
	{text: "wine", share: [3]float64{.11, .19, .2}, women: .85, where: vineyard, times: 1.7, lead: 1.6},
	{text: "travel", share: [3]float64{.35, .31, .28}, women: 1.05, lead: 1.2},
	{text: "photography", share: [3]float64{.14, .12, .1}, women: .95},
	{text: "music", share: [3]float64{.42, .3, .22}, women: 1},
	{text: "cinema", share: [3]float64{.31, .24, .2}, women: 1.05, where: city, times: 1.2},
	{text: "theatre", share: [3]float64{.05, .09, .14}, women: 1.3, where: city, times: 1.5},
	{text: "reading", share: [3]float64{.22, .27, .36}, women: 1.35},
	{text: "video_games", share: [3]float64{.39, .16, .03}, women: .7},
	{text: "technology", share: [3]float64{.27, .2, .09}, women: .7, lead: 1.2},
	{text: "fashion", share: [3]float64{.24, .15, .09}, women: 1.5, where: city, times: 1.3},
	{text: "cars", share: [3]float64{.15, .16, .12}, women: .45},
	{text: "motorcycling", share: [3]float64{.05, .06, .02}, women: .3},
	{text: "fishing", share: [3]float64{.04, .07, .1}, women: .3, where: coast, times: 1.3},
	{text: "hunting", share: [3]float64{.01, .02, .03}, women: .15},
	{text: "diy", share: [3]float64{.13, .25, .22}, women: .75},
	{text: "pets", share: [3]float64{.25, .27, .25}, women: 1.15},
	{text: "parenting", share: [3]float64{.14, .2, .03}, women: 1.3},
	{text: "investing", share: [3]float64{.09, .13, .14}, women: .6, lead: 2},
	{text: "volunteering", share: [3]float64{.08, .09, .16}, women: 1.1},
	{text: "politics", share: [3]float64{.09, .13, .18}, women: .85},
	{text: "board_games", share: [3]float64{.16, .1, .05}, women: 1},
}

// values are what people hold important.
var values = []taste{
	{text: "family", share: [3]float64{.34, .5, .55}, women: 1.1},
	{text: "freedom", share: [3]float64{.38, .29, .25}, women: .95},
	{text: "security", share: [3]float64{.22, .3, .41}, women: 1.1},
	{text: "sustainability", share: [3]float64{.33, .26, .19}, women: 1.15},
	{text: "achievement", share: [3]float64{.24, .18, .06}, women: .85, lead: 1.9},
	{text: "tradition", share: [3]float64{.06, .12, .25}, women: .95},
	{text: "solidarity", share: [3]float64{.2, .19, .24}, women: 1.1},
	{text: "curiosity", share: [3]float64{.27, .19, .14}, women: 1},
	{text: "health", share: [3]float64{.2, .27, .39}, women: 1.1},
	{text: "status", share: [3]float64{.1, .07, .04}, women: .8, lead: 1.6},
}

// needs are what people look for in what they buy.
var needs = []taste{
	{text: "low_price", share: [3]float64{.39, .31, .28}, women: 1.05, lead: .6},
	{text: "quality", share: [3]float64{.25, .35, .41}, women: 1, lead: 1.3},
	{text: "time_saving", share: [3]float64{.22, .28, .08}, women: 1.05, lead: 1.6},
	{text: "advice", share: [3]float64{.1, .14, .29}, women: 1.05},
	{text: "fast_delivery", share: [3]float64{.3, .22, .1}, women: 1},
	{text: "local_origin", share: [3]float64{.13, .2, .26}, women: 1.1},
	{text: "accessibility", share: [3]float64{.02, .04, .15}, women: 1},
	{text: "status_symbol", share: [3]float64{.08, .05, .02}, women: .8, lead: 1.8},
	{text: "durability", share: [3]float64{.2, .27, .29}, women: .95},
}

// brands are what people prefer to buy; all are invented.
var brands = []taste{
	{text: "Velorand", share: [3]float64{.07, .07, .04}, women: .85, where: flat | vineyard, times: 1.5},
	{text: "Altacime", share: [3]float64{.07, .08, .06}, women: 1, where: mountain, times: 2},
	{text: "Marelune", share: [3]float64{.06, .06, .05}, women: 1.2, where: coast, times: 1.9},
	{text: "Kestrel & Wren", share: [3]float64{.08, .05, .03}, women: 1.3, where: city, times: 1.3},
	{text: "Potager Vert", share: [3]float64{.04, .09, .13}, women: 1.2},
	{text: "Nordlicht", share: [3]float64{.09, .07, .03}, women: .9, lead: 1.3},
	{text: "Café Brûlot", share: [3]float64{.07, .08, .06}, women: 1},
	{text: "Pixelhof", share: [3]float64{.12, .06, .01}, women: .65},
	{text: "桜工房", share: [3]float64{.02, .02, .01}, women: 1.1, where: city, times: 1.3},
	{text: "Maison Auralie", share: [3]float64{.06, .06, .05}, women: 1.6, lead: 1.5},
}

// channels are the ways people like to be reached.
var channels = []taste{
	{text: "email", share: [3]float64{.55, .6, .5}, women: 1, lead: 1.2},
	{text: "sms", share: [3]float64{.33, .27, .16}, women: 1},
	{text: "phone", share: [3]float64{.04, .1, .27}, women: 1},
	{text: "post", share: [3]float64{.06, .15, .35}, women: 1.05},
	{text: "push", share: [3]float64{.26, .16, .04}, women: .95},
	{text: "messaging", share: [3]float64{.4, .24, .09}, women: 1.05},
	{text: "web", share: [3]float64{.36, .29, .14}, women: .95},
	{text: "in_person", share: [3]float64{.16, .22, .33}, women: 1},
}

// hobbies are what people call their spare time, in their own words.
var hobbies = [][2]string{
	{"cycling", "vélo le dimanche"}, {"cycling", "gravel"}, {"hiking", "randonnée"}, {"surfing", "surf"}, {"gardening", "potager"},
	{"cooking", "pâtisserie"}, {"music", "guitare"}, {"music", "chorale"}, {"reading", "polars"}, {"photography", "argentique"},
	{"board_games", "échecs"}, {"pets", "éducation canine"}, {"travel", "vanlife"}, {"diy", "menuiserie"}, {"running", "trail"},
}

// likes holds the chances of a list of tastes for every kind of person, as bounds of 16 random bits.
type likes struct {
	texts  []string
	where  []trait
	bounds [3][3][2][2][]uint16 // ageBand, gender (female, male, other), lead, where
}

func makeLikes(tastes []taste) *likes {
	l := &likes{}
	for _, t := range tastes {
		l.texts = append(l.texts, t.text)
		l.where = append(l.where, t.where)
		for age := range 3 {
			for gender, byGender := range []float64{t.women, 2 - t.women, 1} {
				for lead := range 2 {
					for here := range 2 {
						p := t.share[age] * byGender
						if lead == 1 && t.lead > 0 {
							p *= t.lead
						}
						if here == 1 {
							p *= t.times
						}
						l.bounds[age][gender][lead][here] = append(l.bounds[age][gender][lead][here], uint16(min(p, .95)*(1<<16-1)))
					}
				}
			}
		}
	}
	return l
}

// draw returns what one person likes; never nil, because liking nothing is known too.
func (l *likes) draw(d *draw, age ageBand, gender int, lead bool, here trait) []string {
	leads := 0
	if lead {
		leads = 1
	}
	there, local := l.bounds[age][gender][leads][0], l.bounds[age][gender][leads][1]
	var found [16]uint8
	n, random, left := 0, uint64(0), 0
	for i := range l.texts {
		if left == 0 {
			random, left = d.next(), 4
		}
		bound := there[i]
		if l.where[i]&here != 0 {
			bound = local[i]
		}
		if uint16(random) < bound && n < len(found) {
			found[n] = uint8(i)
			n++
		}
		random >>= 16
		left--
	}
	list := make([]string, n)
	for i := range n {
		list[i] = l.texts[found[i]]
	}
	return list
}
