package audience

import (
	"slices"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Steps returns the predicates of the spec's parts, in the order in which the narrowing table lists them; the spec is all of
// them ANDed. A spec that names a channel or purposes ends with their consents. All that is wrong with the spec is in one
// Invalid fault, with field paths that begin with "spec".
func (sp *Spec) Steps(s *Schema) ([]Step, error) {
	b := &steps{schema: s, spec: sp, wrong: (&fault.Violations{}).In("spec")}
	b.place()
	b.person()
	b.work()
	b.segments()
	if sp.Filter != nil {
		b.add(PartFilter, "filter", sp.Filter)
	}
	b.consent()
	if sp.AsOf != nil && (*sp.AsOf < MinDay || *sp.AsOf >= MaxDay) {
		b.wrong.Add(PartAsOf, ReasonInvalidDate, "a day lies between 0001-01-01 and 9999-12-30")
	}
	if err := b.wrong.Err(); err != nil {
		return nil, err
	}
	return b.list, nil
}

// Pred returns all steps ANDed.
func (sp *Spec) Pred(s *Schema) (Pred, error) {
	list, err := sp.Steps(s)
	if err != nil {
		return nil, err
	}
	all := make(And, len(list))
	for i, st := range list {
		all[i] = st.Pred
	}
	return all, nil
}

type steps struct {
	schema *Schema
	spec   *Spec
	wrong  *fault.Violations
	list   []Step
}

func (b *steps) add(part, label string, p Pred) {
	b.list = append(b.list, Step{Label: label, Part: part, Pred: p})
}

func (b *steps) place() {
	if list := b.spec.Regions; len(list) > 0 {
		codes := make([]string, 0, len(list))
		for i, r := range list {
			code, ok := region.Normalize(r)
			if !ok {
				b.wrong.Add(fault.Index(PartRegions, i), ReasonUnknownRegion,
					strconv.Quote(r)+" is no ISO 3166 code; use one such as FR or FR-NAQ")
			}
			codes = append(codes, code)
		}
		b.add(PartRegions, "region "+either(codes), Within{Attr: AttrRegion, Codes: codes})
	}
	if list := b.spec.PostalCodes; len(list) > 0 {
		var whole []Value
		var any Or
		for i, code := range list {
			code = NormalizeText(strings.TrimSpace(code))
			start, open := strings.CutSuffix(code, "*")
			switch {
			case start == "" || strings.Contains(start, "*"):
				b.wrong.Add(fault.Index(PartPostalCodes, i), ReasonUnknownValue,
					"a postal code is whole, or the beginning of one with * behind it")
			case open:
				any = append(any, Prefix{Attr: AttrPostalCode, Text: start})
			default:
				whole = append(whole, Value{Text: code})
			}
		}
		if len(whole) > 0 {
			any = append(any, In{Attr: AttrPostalCode, Values: whole})
		}
		b.add(PartPostalCodes, "postal code "+either(list), one(any))
	}
}

func (b *steps) person() {
	sp := b.spec
	if age := sp.Age; age.Min != nil || age.Max != nil {
		for _, end := range []struct {
			name string
			n    *int64
		}{{"min", age.Min}, {"max", age.Max}} {
			if end.n != nil && (*end.n < 0 || *end.n > MaxAge) {
				b.wrong.Add(PartAge+"."+end.name, ReasonInvalidRange, "an age is 0 to "+strconv.Itoa(MaxAge)+" years")
			}
		}
		if age.Min != nil && age.Max != nil && *age.Min > *age.Max {
			b.wrong.Add(PartAge+".min", ReasonInvalidRange,
				strconv.FormatInt(*age.Min, 10)+" to "+strconv.FormatInt(*age.Max, 10)+" holds nobody; swap the ends")
		}
		var all And
		var lo, hi string
		if age.Min != nil {
			all = append(all, Age{Attr: AttrBirthDate, Op: OpGE, Years: *age.Min})
			lo = strconv.FormatInt(*age.Min, 10)
		}
		if age.Max != nil {
			all = append(all, Age{Attr: AttrBirthDate, Op: OpLE, Years: *age.Max})
			hi = strconv.FormatInt(*age.Max, 10)
		}
		b.add(PartAge, "age "+fromTo(lo, hi), all)
	}
	b.values(PartGenders, "gender", AttrGender, sp.Genders)
	b.jobLevels()
	b.income()
	b.values(PartEducations, "education", AttrEducation, sp.Educations)
	b.values(PartMaritalStatuses, "marital status", AttrMaritalStatus, sp.MaritalStatuses)
	b.values(PartRoles, "role", AttrRoles, sp.Roles)
	b.values(PartLifecycles, "lifecycle", AttrLifecycle, sp.Lifecycles)
}

func (b *steps) work() {
	b.values(PartEmployerIndustries, "industry", AttrEmployerIndustry, b.spec.EmployerIndustries)
	b.values(PartEmployerSizes, "company size", AttrEmployerSize, b.spec.EmployerSizes)
	b.values(PartInterests, "interest", AttrInterests, b.spec.Interests)
}

// values adds the step of a part that lists values of one attribute.
func (b *steps) values(part, label, attr string, list []string) {
	if len(list) == 0 {
		return
	}
	a, ok := b.schema.Attribute(attr)
	if !ok {
		b.wrong.Add(part, ReasonUnknownAttribute, "the schema has no attribute "+attr)
		return
	}
	texts := make([]string, len(list))
	values := make([]Value, len(list))
	for i, v := range list {
		v = NormalizeText(v)
		if v == "" || !a.Allows(v) {
			reason := ReasonUnknownValue
			if attr == AttrJobLevel {
				reason = ReasonUnknownJobLevel
			}
			b.wrong.Add(fault.Index(part, i), reason, strconv.Quote(v)+" is no "+label+choices(a.Values))
		}
		texts[i], values[i] = v, Value{Text: v}
	}
	var p Pred = In{Attr: attr, Values: values}
	if a.Kind == KindTextList {
		p = Contains{Attr: attr, Texts: texts}
	}
	b.add(part, label+" "+either(texts), p)
}

func (b *steps) jobLevels() {
	sp := b.spec
	b.values(PartJobLevels, "job level", AttrJobLevel, sp.JobLevels)
	if sp.MinJobLevel == "" {
		return
	}
	if !slices.Contains(JobLevels, sp.MinJobLevel) {
		b.wrong.Add(PartMinJobLevel, ReasonUnknownJobLevel, strconv.Quote(sp.MinJobLevel)+" is no job level"+choices(JobLevels))
	}
	b.add(PartMinJobLevel, "job level "+sp.MinJobLevel+" or above",
		Compare{Attr: AttrJobLevel, Op: OpGE, Value: Value{Text: sp.MinJobLevel}})
}

func (b *steps) income() {
	in := b.spec.Income
	if in.Min == "" && in.Max == "" {
		if in.Currency != "" {
			b.wrong.Add(PartIncome, ReasonInvalidRange, "a range of incomes needs a lower or an upper end")
		}
		return
	}
	a, ok := b.schema.Attribute(AttrIncome)
	if !ok {
		b.wrong.Add(PartIncome, ReasonUnknownAttribute, "the schema has no attribute "+AttrIncome)
		return
	}
	currency := in.Currency
	if currency == "" {
		currency = b.schema.Currency
	}
	if !validCurrency(currency) {
		b.wrong.Add(PartIncome+".currency_code", ReasonUnknownValue, "a currency is an ISO 4217 code of three capitals such as EUR")
		return
	}
	var all And
	for _, end := range []struct {
		name, number string
		op           Op
	}{{"min", in.Min, OpGE}, {"max", in.Max, OpLE}} {
		if end.number == "" {
			continue
		}
		p, err := b.schema.CompareNumber(a, end.op, end.number, currency)
		if err != nil {
			b.wrong.AddErr(PartIncome+"."+end.name, err)
			continue
		}
		all = append(all, p)
	}
	if in.Min != "" && in.Max != "" && len(all) == 2 {
		lo, _, _ := floorDecimal(in.Min, a.Scale)
		hi, _, _ := floorDecimal(in.Max, a.Scale)
		if lo > hi {
			b.wrong.Add(PartIncome+".min", ReasonInvalidRange, in.Min+" to "+in.Max+" holds nobody; swap the ends")
		}
	}
	b.add(PartIncome, "income "+fromTo(in.Min, in.Max)+" "+currency, all)
}

func (b *steps) segments() {
	for _, part := range []struct {
		path, label string
		uids        []string
	}{
		{PartAllSegments, "in all of ", b.spec.AllSegments},
		{PartAnySegments, "in one of ", b.spec.AnySegments},
		{PartExcludedSegments, "in none of ", b.spec.ExcludedSegments},
		{PartPersonas, "like one of ", b.spec.Personas},
	} {
		if len(part.uids) == 0 {
			continue
		}
		members := make([]Pred, len(part.uids))
		for i, uid := range part.uids {
			if uid == "" {
				b.wrong.Add(fault.Index(part.path, i), ReasonUnknownSegment, "this names no segment")
			}
			members[i] = Member{Segment: uid}
		}
		noun := " segments"
		if part.path == PartPersonas {
			noun = " personas"
		}
		var p Pred
		switch part.path {
		case PartAllSegments:
			p = And(members)
		case PartExcludedSegments:
			p = Not{X: Or(members)}
		default:
			p = Or(members)
		}
		if len(members) == 1 {
			noun = noun[:len(noun)-1]
		}
		b.add(part.path, part.label+strconv.Itoa(len(members))+noun, p)
	}
}

func (b *steps) consent() {
	sp := b.spec
	part, purposes := PartPurposes, sp.Purposes
	if sp.Channel != "" {
		if len(purposes) == 0 {
			part, purposes = PartChannel, []string{"marketing"}
		}
		if !slices.Contains(Channels, sp.Channel) {
			b.wrong.Add(PartChannel, ReasonUnknownValue, strconv.Quote(sp.Channel)+" is no channel"+choices(Channels))
		}
	}
	for i, purpose := range purposes {
		if !slices.Contains(Purposes, purpose) {
			b.wrong.Add(fault.Index(PartPurposes, i), ReasonUnknownValue, strconv.Quote(purpose)+" is no purpose"+choices(Purposes))
		}
		label := "consent to " + purpose
		if sp.Channel != "" {
			label += " by " + sp.Channel
		}
		b.add(part, label, Consent{Purpose: purpose, Channel: sp.Channel})
	}
}

func one(list Or) Pred {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// either lists values for people, and only counts those that would make the label long.
func either(list []string) string {
	const shown = 4
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:shown-1], ", ") + " and " + strconv.Itoa(len(list)-shown+1) + " more"
}

func fromTo(lo, hi string) string {
	switch {
	case hi == "":
		return lo + " or more"
	case lo == "":
		return "up to " + hi
	}
	return lo + " to " + hi
}

func choices(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return "; use one of " + strings.Join(values, ", ")
}
