package audiencetest

import (
	"iter"
	"maps"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Block is an audience.Block, and a Lister, made of facts. Fields that nobody has are known to be empty, but for segments,
// which are unknown until they are set.
type Block struct {
	People map[uint16]audience.Facts

	rows    map[audience.Field]audience.Row
	columns map[audience.Field]*audience.Column
	hidden  map[audience.Field]bool
}

// NewBlock derives the rows and columns of the people, by ordinal.
func NewBlock(s *audience.Schema, people iter.Seq2[uint16, audience.Facts]) (*Block, error) {
	b := &Block{
		People:  maps.Collect(people),
		rows:    make(map[audience.Field]audience.Row),
		columns: make(map[audience.Field]*audience.Column),
		hidden:  make(map[audience.Field]bool),
	}
	rows := map[audience.Field]*audience.Bits{audience.FieldLive: new(audience.Bits)}
	nums := make(map[audience.Field]map[uint16]int64)
	texts := make(map[audience.Field]map[uint16]string)
	for o, f := range b.People {
		d, err := audience.Derive(s, f)
		if err != nil {
			return nil, err
		}
		for _, row := range d.Rows {
			if rows[row] == nil {
				rows[row] = new(audience.Bits)
			}
			rows[row].Set(o)
		}
		for _, c := range d.Columns {
			if c.IsText {
				put(texts, c.Field, o, c.Text)
			} else {
				put(nums, c.Field, o, c.Num)
			}
		}
	}
	for f, row := range rows {
		b.rows[f] = audience.NewRow(row)
	}
	for f, values := range nums {
		b.columns[f] = audience.NewNumColumn(maps.All(values))
	}
	for f, values := range texts {
		b.columns[f] = audience.NewTextColumn(maps.All(values))
	}
	return b, nil
}

func put[T any](into map[audience.Field]map[uint16]T, f audience.Field, o uint16, v T) {
	if into[f] == nil {
		into[f] = make(map[uint16]T)
	}
	into[f][o] = v
}

// SetRow makes f a row of the block, as the index does with segments.
func (b *Block) SetRow(f audience.Field, row *audience.Bits) {
	own := *row
	b.rows[f] = audience.NewRow(&own)
}

// Hide makes f unknown.
func (b *Block) Hide(f audience.Field) { b.hidden[f] = true }

func (b *Block) unknown(f audience.Field) bool {
	_, set := b.rows[f]
	return b.hidden[f] || strings.HasPrefix(string(f), "s/") && !set
}

// Row implements audience.Block.
func (b *Block) Row(f audience.Field) (audience.Row, bool) { return b.rows[f], !b.unknown(f) }

// Column implements audience.Block.
func (b *Block) Column(f audience.Field) (*audience.Column, bool) { return b.columns[f], !b.unknown(f) }

// Cardinality implements audience.Block.
func (b *Block) Cardinality(f audience.Field) (int, bool) {
	if b.unknown(f) {
		return 0, false
	}
	if c := b.columns[f]; c != nil {
		return c.Present.Count(), true
	}
	return b.rows[f].Count(), true
}

// Rows implements audience.Lister.
func (b *Block) Rows(prefix audience.Field) iter.Seq[audience.Field] {
	return func(yield func(audience.Field) bool) {
		for f := range b.rows {
			if strings.HasPrefix(string(f), string(prefix)) && !yield(f) {
				return
			}
		}
	}
}
