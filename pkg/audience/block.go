package audience

// BlockSize is the number of ordinals of a block: the unit of indexing, caching, consistency and parallelism.
const BlockSize = 1 << 16

// Words is the number of 64-ordinal words of a block.
const Words = BlockSize / 64

// Bits is the dense bitmap of one block: ordinal o is bit o%64 of word o/64.
type Bits [Words]uint64

// Column maps the ordinals of one block to values, as the sorted list of the block's distinct values with a rank for each
// ordinal, so that ranges and prefixes are ranges of ranks. A Column is immutable once shared.
type Column struct {
	// Present holds the ordinals that have a value.
	Present *Bits
	// Nums or Texts are the distinct values in ascending order (Texts by bytes, which for UTF-8 is by code point).
	// Exactly one of the two is used.
	Nums  []int64
	Texts []string
	// Ranks holds for each ordinal the index of its value; it is as long as the highest present ordinal plus one, and its
	// entry means nothing where Present is clear.
	Ranks Ranks
}

// Field names a row or column of a block, as in the block's directory and its Redis hash:
//
//	live                        the profiles that exist; every expression is evaluated within it
//	f/<attribute>=<value>       the profiles with this fact (each ancestor of a region has its own)
//	p/<attribute>               the profiles for whom the attribute has a value (attributes kept as rows)
//	s/<uid>@<rule>              the members of a segment under one state of its rule and all it refers to
//	s/<uid>@<rule>@<day>        the same for a rule that looks at the date, on one day
//	c/<column>                  a column; see Derive for their names
type Field string

// FieldLive is the row of the profiles that exist.
const FieldLive Field = "live"

// Block gives an evaluation the rows and columns of one block under one directory. A false second result means unknown
// (never empty): the evaluation stops with ErrUnknown. A row that is known to be empty is returned as the zero Row and true, a
// column as nil and true.
//
// Rows of facts and presence, and columns, hold live ordinals only: then the live row need not be read beside them. A segment's row
// may hold others.
type Block interface {
	Row(Field) (Row, bool)
	Column(Field) (*Column, bool)
	// Cardinality is the number of ordinals in a row, or with a value in a column, without loading it.
	Cardinality(Field) (int, bool)
}

// Stopper is a Block that can end an evaluation in the middle, as when its caller has gone away.
type Stopper interface {
	// Stopped returns why to stop, or nil.
	Stopped() error
}
