package audience

import (
	"maps"
	"slices"
	"strings"
)

// Open reports whether the values that a breakdown tells apart are known only from the blocks.
func (d *Breakdown) Open(s *Schema) bool {
	a, ok := s.Attribute(d.Attr)
	if !ok || len(d.Values) > 0 || len(d.Bands) > 0 || len(a.Values) > 0 {
		return false
	}
	return a.Kind != KindBool && a.Kind != KindBirth
}

// Distinct collects the values of an open breakdown, block by block.
type Distinct struct {
	d     Breakdown
	a     *Attribute
	by    Field // column; empty where the attribute is kept in rows
	nums  map[int64]struct{}
	texts map[string]struct{}
}

// NewDistinct begins to collect.
func NewDistinct(s *Schema, d Breakdown) (*Distinct, error) {
	a, err := d.attribute(s)
	if err != nil {
		return nil, err
	}
	return &Distinct{d: d, a: a, by: d.columnOf(s, a), nums: make(map[int64]struct{}), texts: make(map[string]struct{})}, nil
}

// Fields returns what Add reads for certain.
func (v *Distinct) Fields() []Field {
	if v.by != "" {
		return []Field{v.by}
	}
	return []Field{v.a.presence}
}

// Add adds the values of one block, which must be a Lister where the attribute is kept in rows. It refuses to collect more than a table
// can have.
func (v *Distinct) Add(b Block) error {
	if v.by != "" {
		c, err := columnOf(b, v.by)
		if err != nil || c == nil {
			return err
		}
		for _, n := range c.Nums {
			v.nums[n] = struct{}{}
		}
		for _, text := range c.Texts {
			v.texts[text] = struct{}{}
		}
		return v.full()
	}
	if _, err := rowOf(b, v.a.presence); err != nil {
		return err
	}
	rows, err := listed(b, v.a)
	if err != nil {
		return err
	}
	for value := range rows {
		v.texts[value] = struct{}{}
	}
	return v.full()
}

// Merge adds the values that another has collected of the same breakdown.
func (v *Distinct) Merge(x *Distinct) error {
	maps.Copy(v.nums, x.nums)
	maps.Copy(v.texts, x.texts)
	return v.full()
}

func (v *Distinct) full() error {
	if len(v.nums) > MaxTableValues || len(v.texts) > MaxTableValues {
		return tableTooLarge(v.a.Name)
	}
	return nil
}

// Breakdown returns the breakdown with its values, in ascending order.
func (v *Distinct) Breakdown() Breakdown {
	d := v.d
	for n := range v.nums {
		d.Numbers = append(d.Numbers, n)
	}
	slices.Sort(d.Numbers)
	for text := range v.texts {
		d.Values = append(d.Values, strings.Clone(text))
	}
	slices.Sort(d.Values)
	return d
}
