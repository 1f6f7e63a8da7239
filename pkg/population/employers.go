package population

// employerCount is how many employers a population has.
const employerCount = 4000

// industry is a branch of business with its jobs: from the entry to the top.
type industry struct {
	text   string
	weight float64
	jobs   [3]string // for entry and senior, for managers, for directors and above
}

var industries = []industry{
	{"retail", 13, [3]string{"shop assistant", "store manager", "retail director"}},
	{"manufacturing", 12, [3]string{"machine operator", "production manager", "plant director"}},
	{"health care", 13, [3]string{"nurse", "ward manager", "medical director"}},
	{"education", 10, [3]string{"teacher", "head of department", "head of school"}},
	{"public administration", 10, [3]string{"clerk", "head of office", "general director"}},
	{"information technology", 8, [3]string{"software developer", "engineering manager", "technical director"}},
	{"construction", 7, [3]string{"bricklayer", "site manager", "construction director"}},
	{"transport", 6, [3]string{"driver", "logistics manager", "operations director"}},
	{"hospitality", 6, [3]string{"waiter", "restaurant manager", "hotel director"}},
	{"finance", 4, [3]string{"bank adviser", "branch manager", "finance director"}},
	{"consulting", 4, [3]string{"consultant", "project manager", "consulting director"}},
	{"agriculture", 3, [3]string{"farm worker", "farm manager", "estate director"}},
	{"media", 2, [3]string{"journalist", "desk editor", "editorial director"}},
	{"energy", 2, [3]string{"technician", "network manager", "energy director"}},
}

// sizes are the bands of employers, with how many employers are in each and how many people work in them, in per cent.
var sizes = []struct {
	band             string
	firms, employees float64
}{
	{"1", 0, 0}, {"2-10", 44, 13}, {"11-50", 25, 16}, {"51-200", 15, 17}, {"201-500", 8, 13}, {"501-1000", 4, 10},
	{"1001-5000", 2.5, 15}, {"5001-10000", 1, 7}, {"10001+", .5, 9},
}

type employer struct {
	name     string
	industry int
	size     string
}

var (
	firmFirst  = []string{"Nova", "Terra", "Atlas", "Lumen", "Vega", "Océane", "Alpina", "Gironde", "Helios", "Delta", "Rivage", "Boréal", "Cobalt", "Fougère", "Meridian", "Orchard", "Pilier", "Quartz", "Sequoia", "Tilleul"}
	firmMiddle = []string{"Works", "Partners", "Services", "Industries", "Labs", "Conseil", "Group", "Maison", "Systems", "Atelier", "Réseau", "Trading", "Frères", "Union", "Solutions"}
	firmLast   = []string{"SA", "SAS", "SARL", "GmbH", "Ltd", "Coop", "& Co", "AG", "SL", "International", "France", "Europe", "Sud", "Nord", "Ouest"}
)

// makeEmployers returns the employers of a seed and the table that draws one in proportion to its staff.
func makeEmployers(seed uint64) ([]employer, weighted) {
	var byWeight, byFirms []float64
	for _, i := range industries {
		byWeight = append(byWeight, i.weight)
	}
	for _, s := range sizes {
		byFirms = append(byFirms, s.firms)
	}
	branch, band := weigh(byWeight), weigh(byFirms)
	list := make([]employer, employerCount)
	weights := make([]float64, employerCount)
	for i := range list {
		d := stream(seed, kindEmployer, uint64(i))
		b := band.draw(&d)
		// The product of the three lists is larger than the number of employers, so that each has a name of its own.
		n := i * 7 % (len(firmFirst) * len(firmMiddle) * len(firmLast))
		list[i] = employer{
			name: firmFirst[n%len(firmFirst)] + " " + firmMiddle[n/len(firmFirst)%len(firmMiddle)] + " " +
				firmLast[n/len(firmFirst)/len(firmMiddle)],
			industry: branch.draw(&d),
			size:     sizes[b].band,
		}
		weights[i] = sizes[b].employees / sizes[b].firms
	}
	return list, weigh(weights)
}
