package audience_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// many is a number of blocks that together do not fit into a processor's first cache, as in a resolve.
const many = 32

// BenchmarkIntersect ANDs two rows of several densities in each form, and prints the time beside that of ANDing two bitmaps, word by
// word, in the same run. The limits of the forms are chosen by it.
func BenchmarkIntersect(b *testing.B) {
	s := schema(b)
	e := audience.MustCompile(audience.And{
		audience.Contains{Attr: audience.AttrInterests, Texts: []string{"a"}}, audience.Contains{Attr: audience.AttrInterests, Texts: []string{"b"}},
	}, audience.Env{Schema: s})
	for _, n := range []int{32, 128, 256, 512, 768, 1024, 1500, 2000, 3277} {
		for _, form := range []string{"list-list", "list-dense", "dense-dense"} {
			b.Run(fmt.Sprintf("n=%d/%s", n, form), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				held := make([]*bitBlock, many)
				plain := make([][2]*audience.Bits, many)
				for i := range held {
					one, two := scattered(r, n), scattered(r, 3277)
					if form == "list-list" {
						two = scattered(r, n)
					}
					plain[i] = [2]*audience.Bits{one, two}
					rowA, rowB := audience.DenseRow(one, one.Count()), audience.DenseRow(two, two.Count())
					if form != "dense-dense" {
						rowA = list(one)
					}
					if form == "list-list" {
						rowB = list(two)
					}
					held[i] = &bitBlock{rows: map[audience.Field]audience.Row{
						audience.FactField(audience.AttrInterests, "a"): rowA, audience.FactField(audience.AttrInterests, "b"): rowB,
					}}
				}
				exprs := []*audience.Expr{e}
				counts := make([]uint64, 2)
				b.ReportAllocs()
				least, dense := 0.0, 0.0
				for b.Loop() {
					least = smaller(least, many, func() {
						for _, h := range held {
							if err := audience.Narrow(exprs, liveBlock{h}, counts, nil); err != nil {
								b.Fatal(err)
							}
						}
					})
					dense = smaller(dense, many, func() {
						for _, p := range plain {
							counts[0] += uint64(p[0].AndCount(p[1]))
						}
					})
				}
				b.ReportMetric(least, "ns/block")
				b.ReportMetric(least/dense, "x-dense")
			})
		}
	}
}

// BenchmarkRange tests candidates, in the form that they have after a row, against a range of a column's values, and prints the
// time beside that of ANDing two bitmaps.
func BenchmarkRange(b *testing.B) {
	s, err := audience.NewSchema("EUR", []audience.Attribute{{Name: "custom.n", Kind: audience.KindDecimal}})
	if err != nil {
		b.Fatal(err)
	}
	member := audience.MustCompile(audience.Contains{Attr: audience.AttrInterests, Texts: []string{"a"}}, audience.Env{Schema: s})
	for _, distinct := range []int{100, 250, 20_000, 50_000} {
		rangeOf := audience.MustCompile(audience.Compare{Attr: "custom.n", Op: audience.OpLT, Value: audience.Value{Num: int64(distinct / 3)}}, audience.Env{Schema: s})
		for _, n := range []int{20, 200, 655, 1024, 2048, 4096, 8192, 16384, 65536} {
			b.Run(fmt.Sprintf("values=%d/n=%d", distinct, n), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				const many = 8
				held := make([]*bitBlock, many)
				for i := range held {
					present := new(audience.Bits)
					present.SetRange(0, audience.BlockSize-1)
					held[i] = &bitBlock{
						rows: map[audience.Field]audience.Row{audience.FactField(audience.AttrInterests, "a"): audience.NewRow(scattered(r, n))},
						columns: map[audience.Field]*audience.Column{audience.ColumnField("custom.n"): audience.NewNumColumn(func(yield func(uint16, int64) bool) {
							for o := range present.All() {
								if !yield(o, int64(r.IntN(distinct))) {
									return
								}
							}
						})},
						plain: map[audience.Field]*audience.Bits{"": scattered(r, 3000)},
					}
				}
				exprs := []*audience.Expr{member, rangeOf}
				counts := make([]uint64, 3)
				least, dense := 0.0, 0.0
				for b.Loop() {
					least = smaller(least, many, func() {
						for _, h := range held {
							if err := audience.Narrow(exprs, liveBlock{h}, counts, nil); err != nil {
								b.Fatal(err)
							}
						}
					})
					dense = smaller(dense, many, func() {
						for i, h := range held {
							counts[0] += uint64(h.plain[""].AndCount(held[(i+1)%many].plain[""]))
						}
					})
				}
				b.ReportMetric(least, "ns/block")
				b.ReportMetric(least/float64(n), "ns/candidate")
				b.ReportMetric(least/dense, "x-dense")
			})
		}
	}
}

// liveBlock answers how many are live, which is all that is asked of them.
type liveBlock struct{ *bitBlock }

func (b liveBlock) Cardinality(f audience.Field) (int, bool) {
	if f == audience.FieldLive {
		return audience.BlockSize, true
	}
	return 1000, true
}

func list(b *audience.Bits) audience.Row {
	var l []uint16
	for o := range b.All() {
		l = append(l, o)
	}
	return audience.ListRow(l)
}

// smaller returns the nanoseconds that one of n parts of f took, or least where that is smaller and not 0: on a machine that others
// use too, the least of many times is what the work takes.
func smaller(least float64, n int, f func()) float64 {
	begun := time.Now()
	f()
	if took := float64(time.Since(begun).Nanoseconds()) / float64(n); least == 0 || took < least {
		return took
	}
	return least
}
