package generate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/persona"
)

// phrases say of a share of the segment that it has a value.
var phrases = []struct{ attribute, phrase string }{
	{audience.AttrJobLevel, "are at the job level %s"},
	{audience.AttrRegion, "live in %s"},
	{audience.AttrGender, "are %s"},
	{audience.AttrEducation, "have the education %s"},
	{audience.AttrMaritalStatus, "are %s"},
	{audience.AttrLifecycle, "are at the stage %s"},
	{audience.AttrEmployerIndustry, "work in the industry %s"},
	{audience.AttrInterests, "are interested in %s"},
	{audience.AttrNeeds, "need %s"},
	{audience.AttrValues, "value %s"},
	{audience.AttrPreferredChannels, "prefer the channel %s"},
	{audience.AttrPreferredBrands, "prefer the brand %s"},
}

// Narrate tells who the persona is: the figures, and nothing that does not follow from them.
func (d *Draft) Narrate(name string) string {
	var b strings.Builder
	e := &d.Evidence
	fmt.Fprintf(&b, "%s is fictional and stands for %s, which holds %s of %s profiles", name, d.segment, count(e.SampleSize), count(e.BaseSize))
	if e.BaseSize > 0 {
		fmt.Fprintf(&b, " (%s)", percent(float64(e.SampleSize)/float64(e.BaseSize)))
	}
	b.WriteString(".")
	if d.hasAges {
		fmt.Fprintf(&b, " Where the age is known, half of them are %d or younger, and the middle half are %d to %d.", e.MedianAge, d.lo, d.hi)
	}
	for _, p := range phrases {
		if t := d.top(p.attribute); t != nil {
			fmt.Fprintf(&b, " %s "+p.phrase+"%s.", percent(t.Share), t.Value, compared(t))
		}
	}
	b.WriteString(" Each share is of those for whom the value is known.")
	return b.String()
}

// compared says how a share stands to that of everybody.
func compared(t *persona.Trait) string {
	switch {
	case t.BaseShare == 0:
		return ""
	case math.Abs(t.Lift-1) < 0.05:
		return ", as among everybody"
	}
	return fmt.Sprintf(", against %s of everybody", percent(t.BaseShare))
}

// percent writes a share with as many digits as say something.
func percent(share float64) string {
	p := share * 100
	switch {
	case p >= 10 || p == 0:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	case p >= 0.1:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return "less than 0.1 %"
}

// count writes a number with commas between thousands.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Name makes a name for people out of an id: "young-cyclists" is "Young cyclists".
func Name(id string) string { return title(strings.ReplaceAll(id, "-", " ")) }

func title(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	return string(unicode.ToUpper(r)) + text[n:]
}
