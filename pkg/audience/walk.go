package audience

// maxDepth bounds the nesting of predicates, over all segments that they inline: deeper ones are refused when they are
// compiled and not walked, so that no input exhausts the stack.
const maxDepth = 2000

// Walk calls visit for p and, where visit returned true, for its operands. It ends below a depth that Compile refuses.
func Walk(p Pred, visit func(Pred) bool) { walk(p, visit, maxDepth) }

func walk(p Pred, visit func(Pred) bool, depth int) {
	if p == nil || depth == 0 || !visit(p) {
		return
	}
	switch p := p.(type) {
	case And:
		for _, x := range p {
			walk(x, visit, depth-1)
		}
	case Or:
		for _, x := range p {
			walk(x, visit, depth-1)
		}
	case Not:
		walk(p.X, visit, depth-1)
	}
}

// DateRelative reports whether p's answer about the same facts depends on the day of the question: ages, days to or from
// today, and consents. The segments that p names are not looked into.
func DateRelative(p Pred) bool {
	relative := false
	Walk(p, func(p Pred) bool {
		switch p := p.(type) {
		case Age, Consent:
			relative = true
		case Days:
			relative = relative || p.From.Today || p.To.Today
		}
		return !relative
	})
	return relative
}

// Segments returns the uids of the segments that p names, each once, in the order of their first mention.
func Segments(p Pred) []string {
	var uids []string
	seen := make(map[string]bool)
	Walk(p, func(p Pred) bool {
		if m, ok := p.(Member); ok && !seen[m.Segment] {
			seen[m.Segment] = true
			uids = append(uids, m.Segment)
		}
		return true
	})
	return uids
}
