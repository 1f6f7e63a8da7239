package jobtitle

// why is how a level became known.
const (
	whyTraining   = "the title says that the person is being trained"
	whyUnpaid     = "the title says that the work is unpaid"
	whySupport    = "the title says that the person supports somebody else"
	whyOwner      = "the title says that the person owns or founded the business"
	whyPartner    = "the title says that the person is a partner in a firm"
	whyOfficer    = "the title says that the person is a chief officer or heads the organisation"
	whyVice       = "the title says vice president"
	whyDirector   = "the title says that the person directs or heads a function"
	whyManager    = "the title says that the person manages people or a function"
	whyNominal    = "the title says manager, of a kind that often manages no people"
	whyCraft      = "the title says director, of a kind that often is a craft"
	whyDeputy     = "the title says that the person is the deputy or assistant of a level"
	whyExperience = "the title says that the person is experienced"
	whyBeginner   = "the title says that the person is at the beginning or helps others"
)

// readPart reads one part by the first rule that applies, in the order that the package states. final says that what
// follows is about somebody else.
func readPart(p part) (r Reading, final bool) {
	if len(p.words) == 0 {
		return Reading{}, false
	}
	if r, ok := inTraining(p); ok {
		return r, false
	}
	if r, ok := withoutPay(p); ok {
		return r, false
	}
	if r, final, ok := support(p); ok {
		return r, final
	}
	if r, ok := owning(p); ok {
		return r, false
	}
	if r, ok := leading(p); ok {
		return r, false
	}
	if r, ok := graded(p); ok {
		return r, false
	}
	return beginner(p), false
}

func inTraining(p part) (Reading, bool) {
	for i, w := range p.words {
		switch {
		case learners[w] && !trainers[p.last()]:
			return Reading{training, 0.9, whyTraining}, true
		case (w == "trainee" || w == "apprentice") && i == len(p.words)-2 && taught[p.last()]:
			return Reading{training, 0.7, whyTraining}, true // Trainee Manager, or the manager of trainees
		case w == "student" && (i == len(p.words)-1 || studentJobs[p.at(i+1)]):
			return Reading{training, 0.7, whyTraining}, true
		case w == "resident" && (p.at(i-1) == "medical" || doctors[p.at(i+1)]):
			return Reading{training, 0.6, whyTraining}, true
		}
	}
	if (p.link == "in" || p.link == "en") && len(p.object) > 0 && (p.object[0] == "training" || p.object[0] == "practicas" || p.object[0] == "formation") {
		return Reading{training, 0.85, whyTraining}, true
	}
	return Reading{}, false
}

func withoutPay(p part) (Reading, bool) {
	if p.has(volunteers) && !volunteerStaff[p.last()] {
		return Reading{unpaid, 0.9, whyUnpaid}, true
	}
	return Reading{}, false
}

// support is who works for somebody: Executive Assistant to the CEO, CEO Secretary, Vorstandsassistentin.
func support(p part) (r Reading, final, ok bool) {
	last := p.last()
	to := p.link == "to"
	switch {
	case to && (assistants[last] || advisers[last] || secretaries[last]):
		if ofExecutive(p) {
			return Reading{senior, 0.6, whySupport}, true, true
		}
		if advisers[last] {
			return Reading{}, true, true
		}
		return Reading{entry, 0.65, whySupport}, true, true
	case last == "office" || p.at(0) == "office" && p.link == "of":
		return Reading{}, false, true // Analyst, Office of the CEO
	case ofExecutive(p), assistants[p.at(0)] && last == "direction",
		assistants[p.at(0)] && (p.link == "de" || p.link == "der" || p.link == "du" || p.link == "del") && bosses[first(p.object)]:
		return Reading{senior, 0.6, whySupport}, true, true
	case assistants[last] && len(p.words) == 1 && !p.aside: // Assistant, Office of the Director
		return Reading{entry, 0.65, whySupport}, true, true
	case secretaries[last] && len(p.words) > 1 && (p.at(len(p.words)-2) == "company" || p.at(len(p.words)-2) == "corporate"):
		return Reading{director, 0.5, whyDirector}, false, true
	case p.has(secretaries) && p.has(generals):
		return Reading{cxo, 0.6, whyOfficer}, false, true
	case secretaries[last], secretaries[p.at(0)] && p.link != "":
		if p.link == "of" { // of state: anything
			return Reading{}, true, true
		}
		return Reading{entry, 0.55, whySupport}, !p.aside, true
	case assistants[last] && len(p.words) > 1 && assists(p.words[:len(p.words)-1]):
		return Reading{entry, 0.65, whySupport}, true, true
	}
	return Reading{}, false, false
}

// ofExecutive reports whether an assistant is an executive's: Executive Administrative Assistant, Vorstandsassistenz.
func ofExecutive(p part) bool {
	last, before := p.last(), p.at(len(p.words)-2)
	if before == "administrative" {
		before = p.at(len(p.words) - 3)
	}
	return executiveAssistants[last] || assistants[last] && (before == "executive" || before == "personal" || before == "private")
}

// assists reports whether the words before assistant name somebody of a level.
func assists(words []string) bool {
	for _, w := range words {
		if n, ok := nouns[w]; ok && rank(n.level) >= rank(manager) {
			return true
		}
	}
	return false
}

func owning(p part) (Reading, bool) {
	for i, w := range p.words {
		next := p.at(i + 1)
		switch {
		case founders[w] && !ownerServices[p.last()]:
			return Reading{owner, 0.9, whyOwner}, true
		case (w == "owner" || w == "owners") && !thingsOwned[p.at(i-1)] && !ownerServices[next] && !ownerServices[p.last()]:
			return Reading{owner, 0.9, whyOwner}, true
		case w == "self" && next == "employed", w == "sole" && (next == "trader" || next == "proprietor"):
			return Reading{owner, 0.9, whyOwner}, true
		case w == "auto" && next == "entrepreneur":
			return Reading{owner, 0.85, whyOwner}, true
		case freelancers[w]:
			return Reading{owner, 0.6, whyOwner}, true
		case (w == "gerant" || w == "gerante") && (associates[next] || associates[p.at(i-1)]),
			w == "gesellschafter" && i > 0, w == "gesellschafterin" && i > 0:
			return Reading{owner, 0.8, whyOwner}, true
		}
	}
	if p.at(0) == "chef" && p.link == "d" && first(p.object) == "entreprise" {
		return Reading{owner, 0.75, whyOwner}, true
	}
	return Reading{}, false
}

// leading reads the last word that names a level.
func leading(p part) (Reading, bool) {
	for i := len(p.words) - 1; i >= 0; i-- {
		w := p.words[i]
		n, ok := nouns[w]
		if !ok {
			n, ok = compound(w)
		}
		if !ok {
			continue
		}
		r := Reading{n.level, n.confidence, n.why}
		if n.context != nil {
			if r = n.context(p, i, r); r.Level == "" {
				continue
			}
		}
		if trailing := p.words[i+1:]; len(trailing) > 0 && w != "chief" && w != "head" && professions[trailing[len(trailing)-1]] {
			r.Confidence *= 0.5 // Manager Trainer, CEO Office Analyst
		}
		return modified(p, i, r), true
	}
	return Reading{}, false
}

// modified is a level with the words before it: deputy, assistant, junior.
func modified(p part, at int, r Reading) Reading {
	for i, w := range p.words {
		near := i < at || i == at+1 || i == at+2 && generals[p.at(at+1)] // the deputy may follow: directeur adjoint
		if !near || rank(r.Level) < rank(manager) {
			continue
		}
		switch {
		case w == "vice" && r.Level == vp:
		case w == "assistant" || w == "asst":
			r = Reading{max1(r.Level), r.Confidence * 0.65, whyDeputy}
		case deputies[w]:
			r.Confidence, r.Why = r.Confidence*0.8, whyDeputy
		case beginners[w]:
			r = Reading{entry, 0.6, whyBeginner}
		case acting[w]:
			r.Confidence *= 0.95
		}
	}
	if r.Why == whyNominal && p.has(seniors) {
		r = Reading{senior, 0.6, whyExperience}
	}
	return r
}

// max1 is the level of who assists one: one below it, yet not below manager.
func max1(level string) string {
	switch level {
	case vp:
		return director
	case cxo, partner, owner:
		return vp
	}
	return manager
}

// graded reads words that grade a profession.
func graded(p part) (Reading, bool) {
	for i, w := range p.words {
		next, last := p.at(i+1), i == len(p.words)-1
		switch {
		case seniors[w] && (elders[next] || p.at(i-1) == "school" || p.at(i-1) == "college"):
		case seniors[w] && (last || assistants[p.last()] || attendants[p.last()]):
			return Reading{senior, 0.6, whyExperience}, true
		case seniors[w]:
			return Reading{senior, 0.9, whyExperience}, true
		case beginners[w] && youngSchools[next]:
		case beginners[w] && last:
			return Reading{entry, 0.5, whyBeginner}, true
		case beginners[w]:
			return Reading{entry, 0.85, whyBeginner}, true
		case w == "entry" && next == "level":
			return Reading{entry, 0.9, whyBeginner}, true
		case w == "graduate" && graders[p.last()]:
			return Reading{entry, 0.7, whyBeginner}, true
		case w == "principal" && graders[p.last()], w == "distinguished" && graders[p.last()]:
			return Reading{senior, 0.85, whyExperience}, true
		case w == "staff" && softwareJobs[p.last()]:
			return Reading{senior, 0.65, whyExperience}, true
		case w == "lead" && !last && leadMetal[next]:
		case w == "lead" && (i == 0 || seniors[p.at(i-1)]) && graders[p.last()]:
			return Reading{senior, 0.8, whyExperience}, true
		case w == "lead" && i == 0 && !last:
			return Reading{senior, 0.65, whyExperience}, true
		case w == "lead" && last && i > 0:
			return Reading{senior, 0.7, whyExperience}, true
		}
	}
	return Reading{}, false
}

// beginner reads nouns of simple work, and grades in numbers.
func beginner(p part) Reading {
	last := p.last()
	before := p.at(len(p.words) - 2)
	switch {
	case last == "clerk" && (before == "law" || before == "judicial"):
		return Reading{entry, 0.6, whyBeginner} // a year at a court, after a degree
	case clerks[last] && !officials[before] && before != "chief" && (last != "clerk" || p.link != "of"):
		return Reading{entry, 0.8, whyBeginner}
	case clerks[p.at(0)] && p.link == "" && len(p.words) == 2:
		return Reading{entry, 0.6, whyBeginner} // Clerk Typist
	case assistants[last]:
		if p.has(licensed) {
			return Reading{entry, 0.4, whyBeginner}
		}
		return Reading{entry, 0.65, whyBeginner}
	case attendants[last]:
		return Reading{entry, 0.6, whyBeginner}
	case last == "associate" && p.has(shops):
		return Reading{entry, 0.6, whyBeginner}
	case p.at(0) == "assistant" && len(p.words) > 1 && !p.has(scholars) && !p.has(lawyers):
		return Reading{entry, 0.6, whyBeginner}
	case scholars[last]:
		if p.at(0) == "assistant" {
			return Reading{senior, 0.4, whyExperience}
		}
		return Reading{senior, 0.6, whyExperience}
	case len(p.words) > 1 && (last == "iii" || last == "iv"):
		return Reading{senior, 0.5, whyExperience}
	case len(p.words) > 1 && last == "i":
		return Reading{entry, 0.5, whyBeginner}
	}
	return Reading{}
}

func first(words []string) string {
	for _, w := range words {
		if !articles[w] {
			return w
		}
	}
	return ""
}
