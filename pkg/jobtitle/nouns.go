package jobtitle

import "strings"

// noun is a word that names a level by itself. context, where there is one, looks at the words around the one at i and may
// change the reading; a Reading without a level says that the word means something else here.
type noun struct {
	level      string
	confidence float64
	why        string
	context    func(p part, i int, r Reading) Reading
}

var nouns map[string]noun

// The table refers to functions that look into it.
func init() {
	nouns = map[string]noun{}
	for _, row := range []struct {
		words string
		noun  noun
	}{
		{"ceo cfo coo cto cio cmo chro ciso cxo pdg", noun{cxo, 0.95, whyOfficer, abbreviation}},
		{"cpo cdo cco cso cro clo drh daf", noun{cxo, 0.6, whyOfficer, abbreviation}},
		{"officer executive executives", noun{cxo, 0.95, whyOfficer, chiefOfficer}},
		{"chief", noun{director, 0.55, whyDirector, chief}},
		{"president presidente presidenta presidentin", noun{cxo, 0.9, whyOfficer, president}},
		{"chairman chairwoman chairperson", noun{cxo, 0.75, whyOfficer, nil}},
		{"chair", noun{director, 0.5, whyDirector, onlyLast}},
		{"provost chancellor rector", noun{cxo, 0.55, whyOfficer, onlyLast}},
		{"vorstand vorstandin vorstandsvorsitzender vorstandsvorsitzende vorstandsmitglied geschaftsfuhrer geschaftsfuhrerin geschaeftsfuehrer " +
			"geschaeftsfuehrerin geschaftsfuhrung generaldirektor generaldirektorin", noun{cxo, 0.85, whyOfficer, nil}},
		{"delegado delegada", noun{cxo, 0.95, whyOfficer, after("consejero consejera")}},
		{"gerant gerante", noun{cxo, 0.5, whyOfficer, shopkeeper}},
		{"vp svp evp avp vicepresidente vicepresidenta vizeprasident vizeprasidentin", noun{vp, 0.95, whyVice, bankGrade}},
		{"partner partnerin socio socia", noun{partner, 0.85, whyPartner, firmPartner}},
		{"associe associee gesellschafter gesellschafterin", noun{partner, 0.7, whyPartner, nil}},
		{"director directora directors direktor direktorin directeur directrice", noun{director, 0.9, whyDirector, directing}},
		{"subdirector subdirectora", noun{director, 0.65, whyDeputy, nil}},
		{"dg dga", noun{cxo, 0.6, whyOfficer, nil}},
		{"prokurist prokuristin", noun{director, 0.6, whyDirector, nil}},
		{"head leiter leiterin leitung", noun{director, 0.75, whyDirector, heading}},
		{"dean dekan dekanin", noun{director, 0.7, whyDirector, onlyLastOrLinked}},
		{"principal headteacher headmaster headmistress", noun{director, 0.75, whyDirector, schoolHead}},
		{"counsel", noun{director, 0.6, whyDirector, after("general")}},
		{"treasurer", noun{director, 0.5, whyDirector, nil}},
		{"manager mgr manageress", noun{manager, 0.85, whyManager, managing}},
		{"supervisor supervisora superviseur foreman forewoman foreperson", noun{manager, 0.8, whyManager, nil}},
		{"superintendent", noun{manager, 0.7, whyManager, superintendent}},
		{"controller comptroller", noun{manager, 0.6, whyManager, after("financial corporate finance group plant")}},
		{"leader", noun{manager, 0.6, whyManager, teamLeader}},
		{"gerente", noun{manager, 0.75, whyManager, withGeneral}},
		{"jefe jefa", noun{manager, 0.8, whyManager, ofProject}},
		{"encargado encargada responsable", noun{manager, 0.65, whyManager, nil}},
		{"vorarbeiter vorarbeiterin polier", noun{manager, 0.65, whyManager, nil}},
		{"chef chefin", noun{manager, 0.65, whyManager, chefs}},
		{"housekeeper", noun{manager, 0.55, whyManager, after("executive head")}},
		{"chefarzt chefarztin", noun{director, 0.7, whyDirector, nil}},
		{"oberarzt oberarztin", noun{senior, 0.7, whyExperience, nil}},
	} {
		for _, w := range strings.Fields(row.words) {
			nouns[w] = row.noun
		}
	}
}

// after takes the word only where one of others stands right before it.
func after(others string) func(part, int, Reading) Reading {
	allowed := set(others)
	return func(p part, i int, r Reading) Reading {
		if !allowed[p.at(i-1)] {
			return Reading{}
		}
		return r
	}
}

// abbreviation leaves out what stands in parentheses: there it is the initials of other words (Continuous Miner Operator).
func abbreviation(p part, _ int, r Reading) Reading {
	if p.aside {
		return Reading{}
	}
	return r
}

func onlyLast(p part, i int, r Reading) Reading {
	if i != len(p.words)-1 {
		return Reading{}
	}
	return r
}

func onlyLastOrLinked(p part, i int, r Reading) Reading {
	if i != len(p.words)-1 && i != 0 {
		return Reading{}
	}
	return r
}

func withGeneral(p part, i int, r Reading) Reading {
	if generals[p.at(i+1)] {
		return Reading{cxo, 0.7, whyOfficer}
	}
	return r
}

// chiefOfficer wants a chief before the officer; ranks of ships and forces are none of a company.
func chiefOfficer(p part, i int, r Reading) Reading {
	for k := i - 1; k >= 0; k-- {
		if p.words[k] != "chief" {
			continue
		}
		between := p.words[k+1 : i]
		if p.words[i] != "officer" {
			if len(between) > 0 { // Chief Marketing Executive
				r.Confidence = 0.6
			}
			return r
		}
		if len(between) == 0 {
			r.Confidence = 0.5 // of a ship
		}
		for _, w := range between {
			if forces[w] {
				return Reading{}
			}
		}
		return r
	}
	return Reading{}
}

func chief(p part, i int, r Reading) Reading {
	switch {
	case p.link == "of" && first(p.object) == "staff":
		r.Confidence = 0.5
	case i == len(p.words)-1:
		r.Confidence = 0.6
	case p.has(forces):
		return Reading{}
	case !highCalling[p.last()]:
		return Reading{manager, 0.5, whyManager} // Chief Operator
	}
	return r
}

func president(p part, i int, r Reading) Reading {
	switch {
	case p.at(i-1) == "vice":
		return bankGrade(p, i, Reading{vp, 0.95, whyVice})
	case p.at(i-1) == "past":
		return Reading{}
	case i != len(p.words)-1 && i != 0:
		r.Confidence = 0.7
	}
	return r
}

// bankGrade knows that banks have assistant and associate vice presidents in large numbers.
func bankGrade(p part, i int, r Reading) Reading {
	if p.words[i] == "avp" {
		return Reading{director, 0.5, whyDeputy}
	}
	return r
}

func firmPartner(p part, i int, r Reading) Reading {
	before := p.at(i - 1)
	switch {
	case notPartners[before]:
		return Reading{}
	case p.at(i+1) != "" && (p.words[i] != "partner" || i != 0 || professions[p.last()] || partnerWork[p.at(i+1)]):
		return Reading{} // Partner Development, Partner Specialist, Socio-economist
	case p.at(i+1) != "":
		r.Confidence = 0.5
		return r
	case before == "", firmWork[before]:
		return r
	}
	r.Confidence = 0.55
	return r
}

func directing(p part, i int, r Reading) Reading {
	before, next := p.at(i-1), p.at(i+1)
	switch {
	case before == "socio" || before == "socia":
		return Reading{partner, 0.85, whyPartner}
	case generals[next], generals[before] && p.words[i] != "director":
		return Reading{cxo, 0.85, whyOfficer}
	case next == "of" || before == "managing" || before == "general":
		return Reading{cxo, 0.7, whyOfficer}
	case before == "executive" && (i == 1 || p.at(i-2) == "non"):
		if p.at(i-2) == "non" {
			return Reading{director, 0.4, whyDirector}
		}
		return Reading{cxo, 0.6, whyOfficer}
	case before == "funeral" || before == "resident":
		return Reading{director, 0.3, whyCraft}
	case craftDirectors[before], p.link == "of" && craftDirectors[first(p.object)]:
		return Reading{director, 0.5, whyCraft}
	case p.link == "de" && shopsFR[first(p.object)], before == "board", before == "program", before == "account", before == "project":
		r.Confidence = 0.65
	case before == "medical":
		r.Confidence = 0.75
	}
	return r
}

func heading(p part, i int, r Reading) Reading {
	head := p.words[i] == "head"
	switch {
	case p.words[i] == "leitung" && teams[p.at(i-1)]:
		return Reading{manager, 0.7, whyManager}
	case !head:
		return r
	case p.link == "of" && i == len(p.words)-1:
		r.Confidence = 0.85
		return r
	case i == len(p.words)-1 && i > 0:
		return r // Department Head
	case i == 0 && len(p.words) > 1 && p.at(1) != "start":
		switch p.last() {
		case "teacher", "master", "mistress":
			return r
		case "coach":
			return Reading{manager, 0.5, whyManager}
		}
		return Reading{manager, 0.6, whyManager} // Head Cook, Head Nurse
	}
	return Reading{}
}

// schoolHead is the principal of a school; as an adjective the word grades a profession, and alone it may be either.
func schoolHead(p part, i int, r Reading) Reading {
	switch {
	case p.words[i] != "principal":
		return r
	case i == 0 && len(p.words) == 1 && p.link == "":
		r.Confidence = 0.4
		return r
	case i == len(p.words)-1 && p.at(i-1) == "vice":
		return Reading{manager, 0.8, whyDeputy}
	case i == len(p.words)-1:
		return r
	}
	return Reading{}
}

func managing(p part, i int, r Reading) Reading {
	before := p.at(i - 1)
	switch {
	case nominal[before], before == "" && nominal[p.at(i+1)]:
		r.Confidence, r.Why = 0.55, whyNominal
	case before == "success" || before == "media" || before == "change":
		r.Confidence, r.Why = 0.5, whyNominal
	case domestic[before]:
		r.Confidence, r.Why = 0.3, whyNominal
	case before == "office" || before == "program" || before == "programme" || before == "property" || before == "contract":
		r.Confidence = 0.75
	}
	return r
}

func superintendent(p part, i int, r Reading) Reading {
	if p.at(i-1) == "school" || p.at(i-1) == "schools" || p.link == "of" && first(p.object) == "schools" {
		return Reading{director, 0.6, whyDirector}
	}
	return r
}

func teamLeader(p part, i int, r Reading) Reading {
	if !teams[p.at(i-1)] {
		r.Confidence = 0.45
	}
	return r
}

func shopkeeper(p part, _ int, r Reading) Reading {
	if p.link == "de" && shopsFR[first(p.object)] {
		return Reading{manager, 0.6, whyManager}
	}
	return r
}

// ofProject knows the one kind of jefe who often has no staff.
func ofProject(p part, _ int, r Reading) Reading {
	if object := first(p.object); object == "proyecto" || object == "proyectos" || object == "producto" {
		return Reading{manager, 0.55, whyNominal}
	}
	return r
}

// chefs are cooks in English and heads of something in French and German.
func chefs(p part, i int, r Reading) Reading {
	french := p.link == "de" || p.link == "d" || p.link == "du" || p.link == "des"
	object := first(p.object)
	switch {
	case p.at(i-1) == "sous":
		return Reading{senior, 0.6, whyExperience}
	case french && (object == "partie" || object == "rang"):
		return Reading{}
	case french && (object == "projet" || object == "projets" || object == "produit" || object == "produits"):
		return Reading{manager, 0.55, whyNominal}
	case french && object != "cuisine" && i == 0:
		r.Confidence = 0.75
		return r
	case french && object == "cuisine", p.at(i-1) == "executive", p.at(i-1) == "head":
		return r
	}
	return Reading{}
}

// compounds are first parts of German words that end in -leiter.
var compounds = map[string]noun{}

func init() {
	for words, n := range map[string]noun{
		"team gruppen schicht filial abteilungs bau betriebs markt laden kuchen werkstatt produktions sachgebiets lager pflege stations": {manager, 0.8, whyManager, nil},
		"verkaufs vertriebs personal finanz marketing bereichs hauptabteilungs werks bereich standort niederlassungs schul":              {director, 0.7, whyDirector, nil},
		"projekt programm": {manager, 0.55, whyNominal, nil},
	} {
		for _, w := range strings.Fields(words) {
			compounds[w] = n
		}
	}
}

func compound(word string) (noun, bool) {
	for _, end := range []string{"leiter", "leiterin", "leitung", "manager", "managerin", "direktor", "direktorin"} {
		stem, found := strings.CutSuffix(word, end)
		if !found || stem == "" {
			continue
		}
		if end == "direktor" || end == "direktorin" {
			return noun{director, 0.7, whyDirector, nil}, true
		}
		if end == "manager" || end == "managerin" {
			return noun{manager, 0.5, whyNominal, nil}, true
		}
		n, ok := compounds[stem]
		return n, ok
	}
	return noun{}, false
}
