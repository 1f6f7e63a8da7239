package resolve

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Dimension is one attribute to count an audience by; see audience.NewBreakdown.
type Dimension struct {
	Attribute string
	Bounds    []float64
	Values    []string
}

// Axis is one side of a cross table: its values, to which two places are added, for other values and for none.
type Axis struct {
	Attribute string
	Values    []string
}

// Division is an audience counted by several attributes at once.
type Division struct {
	Members int64
	Axes    []Axis
	// Counts are the cells, row by row: the place of the last axis changes fastest.
	Counts []uint64
	Info   Info
}

// partDimensions is where the dimensions are in the request.
const partDimensions = "dimensions"

// Breakdown counts an audience by the values of several attributes at once. Ages are those of the day of the question.
//
// Errors: as of Count; Invalid, under "dimensions", for attributes, bounds and values that cannot be, and with TABLE_TOO_LARGE where there
// would be too many cells.
func (r *Resolver) Breakdown(ctx context.Context, spec campaign.Spec, c Consistency, by []Dimension) (*Division, error) {
	var answer *Division
	err := r.answer(ctx, spec, c, func(s *blocks.Session, p *plan) error {
		cat, err := r.catalog(s.View().Definitions)
		if err != nil {
			return err
		}
		divided, err := divided(ctx, s, cat.schema, p.day, by)
		if err != nil {
			return err
		}
		table, err := tabulate(ctx, s, p, cat.schema, divided)
		if err != nil {
			return err
		}
		answer = &Division{Members: int64(table.Members()), Info: info(s, p)}
		for i, d := range by {
			if len(d.Values) == 0 && divided[i].Bands == nil {
				table = table.Without(i)
			}
		}
		answer.Counts = table.Counts()
		for i, d := range by {
			answer.Axes = append(answer.Axes, Axis{Attribute: d.Attribute, Values: table.Values(i)})
		}
		return nil
	})
	return answer, err
}

// divided reads the dimensions, and finds the values of those that leave them open.
func divided(ctx context.Context, s *blocks.Session, schema *audience.Schema, day int64, by []Dimension) ([]audience.Breakdown, error) {
	list := make([]audience.Breakdown, len(by))
	seen := make(map[string]bool, len(by))
	for i, d := range by {
		path := fault.Index(partDimensions, i)
		b, err := audience.NewBreakdown(schema, d.Attribute, d.Bounds, d.Values)
		if err != nil {
			return nil, under(path, err)
		}
		if seen[b.Attr] {
			return nil, fault.InvalidField(campaign.ReasonValidation, fault.Join(path, "attribute"), "each attribute divides once; leave the repetition out")
		}
		seen[b.Attr] = true
		b.Day = day
		if b.Open(schema) {
			if b, err = distinct(ctx, s, schema, b); err != nil {
				return nil, under(path, err)
			}
		}
		list[i] = b
	}
	return list, nil
}

// under puts a fault about a dimension where the request has the dimension.
func under(path string, err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		return err
	}
	if len(f.Violations) == 0 {
		return f.At(path)
	}
	return f.Under(path)
}

// distinct finds the values that the blocks have of an attribute.
func distinct(ctx context.Context, s *blocks.Session, schema *audience.Schema, d audience.Breakdown) (audience.Breakdown, error) {
	first, err := audience.NewDistinct(schema, d)
	if err != nil {
		return d, err
	}
	found := make([]*audience.Distinct, s.Scanners())
	found[0] = first
	_, err = s.Scan(ctx, blocks.Scan{
		Fields: s.View().Prepare(first.Fields()),
		Do: func(scanner, _ int, b audience.Block) (err error) {
			if found[scanner] == nil {
				if found[scanner], err = audience.NewDistinct(schema, d); err != nil {
					return err
				}
			}
			return found[scanner].Add(b)
		},
	})
	if err != nil {
		return d, err
	}
	for _, more := range found[1:] {
		if more != nil {
			if err := first.Merge(more); err != nil {
				return d, err
			}
		}
	}
	return first.Breakdown(), nil
}

// tabulate counts the members of all blocks.
func tabulate(ctx context.Context, s *blocks.Session, p *plan, schema *audience.Schema, by []audience.Breakdown) (*audience.Table, error) {
	table, err := audience.NewTable(schema, by)
	if err != nil {
		return nil, under(partDimensions, err)
	}
	if p.household {
		return table, p.keepOne(ctx, s, table.Fields(), func(_ int, b audience.Block, members *audience.Bits) error { return table.Add(b, members) })
	}
	fields := s.View().Prepare(append(table.Fields(), p.all.Fields()...))
	var numbers []int
	for _, f := range table.Fields() {
		numbers = append(numbers, fields.Number(f))
	}
	read := func(b audience.Block, i int) (audience.Row, *audience.Column, bool) { return blocks.At(b, numbers[i]) }
	table.Read = read
	tables := make([]*audience.Table, s.Scanners())
	tables[0] = table
	_, err = s.Scan(ctx, blocks.Scan{
		Fields: fields,
		Look:   blocks.Absent(p.all),
		Looks:  &p.absent,
		Do: func(scanner, _ int, b audience.Block) (err error) {
			if tables[scanner] == nil {
				if tables[scanner], err = audience.NewTable(schema, by); err != nil {
					return err
				}
				tables[scanner].Read = read
			}
			var members audience.Bits
			if err := p.all.Eval(b, nil, &members); err != nil {
				return err
			}
			return tables[scanner].Add(b, &members)
		},
	})
	if err != nil {
		return nil, err
	}
	for _, part := range tables[1:] {
		if part != nil {
			table.Merge(part)
		}
	}
	return table, nil
}
