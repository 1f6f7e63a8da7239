package resolve

import (
	"math/rand/v2"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

func TestTakeTakesTheFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 2))
	for range 300 {
		var members audience.Bits
		for range r.IntN(300) {
			members.Set(uint16(r.IntN(audience.BlockSize)))
		}
		members.SetRange(uint16(60_000), uint16(60_000+r.IntN(5000)))
		n := 1 + r.IntN(members.Count()+20)
		left := members
		p := part{}
		p.take(3, &left, n)
		var want audience.Bits
		count, next := 0, uint32(0)
		for o := range members.All() {
			if count == n {
				break
			}
			want.Set(o)
			count++
			next = uint32(o) + 1
		}
		rest := members
		rest.AndNot(&want)
		if p.block != 3 || p.count != count || p.next != next || p.members != want || left != rest {
			t.Fatalf("took %d up to %d of %d, want %d up to %d", p.count, p.next, n, count, next)
		}
	}
}
