package jobtitle

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxRunes is how many characters of a title are read.
const maxRunes = 200

// maxBytes is more than maxRunes characters take, accents included.
const maxBytes = 4096

// part is a piece of a title: words before the first preposition, that preposition, and words behind it. All are lower case
// without accents.
type part struct {
	words  []string
	link   string
	object []string
	aside  bool // stood in parentheses
	comma  bool // stood behind a comma
}

// endings are gendered endings that are written behind a mark: Leiter/in, Gérant(e), directeur·rice.
var endings = set("in innen e r a o ne te fe rice trice ice euse esse")

// links are prepositions. What follows one says whom or what the job is about.
var links = set("of for to in at with under on from within der des fur bei von zur zum im de du d del en chez aupres para")

var conjunctions = set("and und et y e cum")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// fold brings text into lower case without accents and cuts it to maxRunes characters. maxBytes bounds what is looked at.
func fold(title string) []rune {
	folded := make([]rune, 0, maxRunes+1)
	for _, r := range norm.NFKD.String(title[:min(len(title), maxBytes)]) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if r = unicode.ToLower(r); r == 'ß' {
			folded = append(folded, 's')
			r = 's'
		}
		if folded = append(folded, r); len(folded) >= maxRunes {
			break
		}
	}
	return folded
}

// parts cuts a title.
func parts(title string) []part {
	text := fold(title)
	var all []part
	var words []string
	var word []rune
	initials, depth, comma := 0, 0, false
	endWord := func() {
		if len(word) > 0 {
			words = append(words, string(word))
		}
		word, initials = word[:0], 0
	}
	endPart := func() {
		endWord()
		if len(words) > 0 {
			all = append(all, cut(words, depth > 0, comma))
		}
		words, comma = nil, false
	}
	for i := 0; i < len(text); i++ {
		r := text[i]
		if n := ending(text, i, len(word)); n > 0 {
			i += n
			continue
		}
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word = append(word, r)
		case r == '.' && len(word) == initials+1:
			initials++ // V.P. is one word
		case r == '\'' || r == '’' || r == 'ʼ':
			endWord()
			if i+1 < len(text) && text[i+1] == 's' && (i+2 == len(text) || !unicode.IsLetter(text[i+2])) {
				i++ // a genitive
			}
		case r == '(' || r == '[':
			endPart()
			depth++
		case r == ')' || r == ']':
			endPart()
			depth = max(0, depth-1)
		case r == ',':
			endPart()
			comma = true
		case r == '-' && i > 0 && i+1 < len(text) && text[i-1] != ' ' && text[i+1] != ' ':
			endWord()
		case strings.ContainsRune("/;|:&+-–—•·\n", r):
			endPart()
		default:
			endWord()
		}
		if len(word) == 0 && len(words) > 0 && conjunctions[words[len(words)-1]] {
			words = words[:len(words)-1]
			endPart()
		}
	}
	endPart()
	return all
}

// ending returns how many characters behind i belong to a gendered ending that begins there; 0 if none does.
func ending(text []rune, i, before int) int {
	if before < 3 || !strings.ContainsRune("/*:·_(-", text[i]) {
		return 0
	}
	end := i + 1
	if text[i] == '(' && end < len(text) && text[end] == '-' {
		end++
	}
	from := end
	for end < len(text) && unicode.IsLetter(text[end]) {
		end++
	}
	if !endings[string(text[from:end])] {
		return 0
	}
	if text[i] == '(' {
		if end == len(text) || text[end] != ')' {
			return 0
		}
		return end - i
	}
	if text[i] == '-' && end < len(text) && text[end] == '-' {
		return 0 // Manager-in-Training
	}
	return end - i - 1
}

// cut divides words at the first preposition.
func cut(words []string, aside, comma bool) part {
	p := part{aside: aside, comma: comma, words: words}
	for i, w := range words {
		if links[w] && i > 0 {
			p.words, p.link, p.object = words[:i], w, words[i+1:]
			break
		}
	}
	return p
}

func (p part) last() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[len(p.words)-1]
}

// at returns the word at i, "" outside.
func (p part) at(i int) string {
	if i < 0 || i >= len(p.words) {
		return ""
	}
	return p.words[i]
}

func (p part) has(words map[string]bool) bool {
	return slices.ContainsFunc(p.words, func(w string) bool { return words[w] })
}
