package identity

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// plan is the numbering plan of a country code, from the library's metadata with its expressions compiled: the library looks
// each up by its text for each number, which costs more than matching it.
type plan struct {
	code    string
	prefix  *regexp.Regexp // what may be dialled in front of a national number, or nil
	regions []planRegion   // the main country first
}

// planRegion is what one of the countries that share a code adds.
type planRegion struct {
	leading *regexp.Regexp // how all its numbers begin, and no other country's, or nil
	general numberType
	types   []numberType
}

// numberType is how numbers of a type are written: all its numbers match the pattern and have one of the lengths, any if there
// are none.
type numberType struct {
	lengths []int32
	pattern *regexp.Regexp
}

// prefixed reports whether the national number begins with what may be dialled in front of one, so that it may be another in fact.
func (p *plan) prefixed(national string) bool {
	return p.prefix != nil && p.prefix.MatchString(national)
}

// takes reports whether the plan has a national number, or where that is enough, whether it is written as the plan's numbers are.
func (p *plan) takes(national string, possible bool) bool {
	return p.has(national) || possible && slices.ContainsFunc(p.regions, func(r planRegion) bool { return r.general.has(national) })
}

// has reports whether there can be such a national number, as the library's IsValidNumber does: the country is the first whose
// beginning it has, or of whose types it is, and it is of a type of that country.
func (p *plan) has(national string) bool {
	for _, r := range p.regions {
		if r.leading != nil && len(p.regions) > 1 {
			if r.leading.MatchString(national) {
				return r.has(national)
			}
		} else if r.has(national) {
			return true
		}
	}
	return false
}

func (r *planRegion) has(national string) bool {
	return r.general.has(national) && slices.ContainsFunc(r.types, func(t numberType) bool { return t.has(national) })
}

func (t numberType) has(national string) bool {
	if len(t.lengths) > 0 && !slices.Contains(t.lengths, int32(len(national))) {
		return false
	}
	return t.pattern.MatchString(national)
}

// plans are the numbering plans by country code, each compiled when its first number comes.
var plans = sync.OnceValue(func() map[string]func() *plan {
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		panic(fmt.Errorf("decode phone metadata: %w", err)) // it is compiled in; the library itself panics before this can
	}
	type key struct {
		code   int32
		region string
	}
	metadata := make(map[key]*phonenumbers.PhoneMetadata)
	for _, m := range all.GetMetadata() {
		metadata[key{m.GetCountryCode(), m.GetId()}] = m
	}
	byCode := make(map[string]func() *plan)
	for number := range phonenumbers.GetSupportedCallingCodes() {
		var regions []*phonenumbers.PhoneMetadata
		for _, region := range phonenumbers.GetRegionCodesForCountryCode(number) {
			if m := metadata[key{int32(number), region}]; m != nil {
				regions = append(regions, m)
			}
		}
		if len(regions) > 0 {
			code := strconv.Itoa(number)
			byCode[code] = sync.OnceValue(func() *plan { return newPlan(code, regions) })
		}
	}
	return byCode
})

func newPlan(code string, regions []*phonenumbers.PhoneMetadata) *plan {
	p := &plan{code: code}
	// The library takes numbers of a shared code apart by the rules of its main country.
	if prefix := regions[0].GetNationalPrefixForParsing(); prefix != "" {
		p.prefix = regexp.MustCompile("^(?:" + prefix + ")")
	}
	for _, m := range regions {
		r := planRegion{general: newNumberType(m.GetGeneralDesc())}
		if leading := m.GetLeadingDigits(); leading != "" {
			r.leading = regexp.MustCompile("^(?:" + leading + ")")
		}
		for _, desc := range []*phonenumbers.PhoneNumberDesc{
			m.GetMobile(), m.GetFixedLine(), m.GetTollFree(), m.GetVoip(), m.GetPremiumRate(), m.GetSharedCost(), m.GetPersonalNumber(),
			m.GetPager(), m.GetUan(), m.GetVoicemail(),
		} {
			if desc.GetNationalNumberPattern() != "" {
				r.types = append(r.types, newNumberType(desc))
			}
		}
		p.regions = append(p.regions, r)
	}
	return p
}

func newNumberType(desc *phonenumbers.PhoneNumberDesc) numberType {
	return numberType{
		lengths: desc.GetPossibleLength(), pattern: regexp.MustCompile("^(?:" + desc.GetNationalNumberPattern() + ")$"),
	}
}

// planOf returns the plan that the digits of an E.164 number belong to: no country code is the beginning of another.
func planOf(digits string) (*plan, bool) {
	for n := 1; n <= 3 && n < len(digits); n++ {
		if p := plans()[digits[:n]]; p != nil {
			return p(), true
		}
	}
	return nil, false
}
