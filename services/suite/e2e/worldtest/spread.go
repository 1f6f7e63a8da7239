package worldtest

import (
	"hash/fnv"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Spread numbers profiles over so many blocks, by their uids, so that few people are in as many blocks as many would be.
type Spread int

// Block returns the block of a new profile. Blocks begin one after the other, so the first profiles are all in the first ones.
func (n Spread) Block(uid audience.UID, _ audience.Facts, fill []int) int {
	h := fnv.New32a()
	h.Write(uid[:])
	return min(int(h.Sum32()%uint32(n)), len(fill))
}
