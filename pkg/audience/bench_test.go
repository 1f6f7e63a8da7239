package audience_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
)

// person is somebody of a population in which a narrow audience is narrow.
func person(r *rand.Rand) audience.Facts {
	birth := audiencetest.Day - 18*365 - r.Int64N(60*365)
	regions := []string{"FR-40", "FR-33", "FR-75", "FR-69", "FR-13", "DE-BE", "DE-BY", "GB-LND", "ES-MD", "IT-25"}
	interests := []string{"cycling", "tea", "films", "running", "cooking", "travel", "music", "games", "cars", "garden"}
	f := audience.Facts{
		"birth_date":              {Num: birth, Last: birth},
		"region":                  {Text: regions[r.IntN(len(regions))]},
		"gender":                  {Text: audience.Genders[r.IntN(2)]},
		"job_level":               {Text: audience.JobLevels[min(r.IntN(10), r.IntN(10))]},
		"postal_code":             {Text: fmt.Sprintf("%05d", r.IntN(100_000))},
		"income":                  {Num: r.Int64N(10_000_000), Currency: "EUR"},
		"interests":               {List: []string{interests[r.IntN(10)], interests[r.IntN(10)]}},
		"consent.marketing.email": {Num: []int64{audience.MinDay, audience.MaxDay}[r.IntN(2)]},
	}
	return f
}

func benchBlock(b *testing.B, s *audience.Schema) *audiencetest.Block {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	block, err := audiencetest.NewBlock(s, func(yield func(uint16, audience.Facts) bool) {
		for o := range audience.BlockSize {
			if !yield(uint16(o), person(r)) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return block
}

// counted answers cardinalities as a directory does, without counting.
type counted struct {
	audience.Block
	n map[audience.Field]int
}

func (c *counted) Cardinality(f audience.Field) (int, bool) {
	n, ok := c.n[f]
	if !ok {
		n, ok = c.Block.Cardinality(f)
		c.n[f] = n
	}
	return n, ok
}

func narrowSpec() *audience.Spec {
	return &audience.Spec{
		Regions: []string{"FR-NAQ"}, Age: audience.IntRange{Min: ptr(25), Max: ptr(34)}, MinJobLevel: "director",
		Interests: []string{"cycling"}, Channel: "email",
	}
}

func BenchmarkEval(b *testing.B) {
	s := schema(b)
	block := &counted{benchBlock(b, s), make(map[audience.Field]int)}
	env := audience.Env{Schema: s, Day: audiencetest.Day}
	narrow, err := narrowSpec().Pred(s)
	if err != nil {
		b.Fatal(err)
	}
	var few audience.Bits
	few[500] = 1 << 17
	for _, c := range []struct {
		name   string
		p      audience.Pred
		within *audience.Bits
	}{
		{"ask=narrow", narrow, nil},
		{"ask=narrow-in-one-word", narrow, &few},
		{"ask=rows", audience.And{audience.Within{Attr: "region", Codes: []string{"FR"}},
			audience.Compare{Attr: "gender", Op: audience.OpEQ, Value: audience.Value{Text: "female"}}}, nil},
		{"ask=range-of-all", audience.Age{Attr: "birth_date", Op: audience.OpGE, Years: 40}, nil},
		{"ask=set-of-all", audience.Or{audience.Prefix{Attr: "postal_code", Text: "4"}, audience.Prefix{Attr: "postal_code", Text: "7"}}, nil},
	} {
		e := audience.MustCompile(c.p, env)
		b.Run(c.name, func(b *testing.B) {
			var out audience.Bits
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Eval(block, c.within, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNarrow(b *testing.B) {
	s := schema(b)
	block := benchBlock(b, s)
	steps, err := narrowSpec().Steps(s)
	if err != nil {
		b.Fatal(err)
	}
	var exprs []*audience.Expr
	for _, st := range steps {
		exprs = append(exprs, audience.MustCompile(st.Pred, audience.Env{Schema: s, Day: audiencetest.Day}))
	}
	counts := make([]uint64, len(steps)+1)
	var out audience.Bits
	b.ReportAllocs()
	for b.Loop() {
		if err := audience.Narrow(exprs, block, counts, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	s := schema(b)
	f := person(rand.New(rand.NewPCG(3, 3)))
	var d audience.Derived
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Set(s, f); err != nil {
			b.Fatal(err)
		}
	}
}
