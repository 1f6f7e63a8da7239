package resolve

import (
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// plans keeps the plans of the specs that are asked for again and again, under one state of the definitions and on one day: the next
// state, or day, begins anew. Names that were not found are not kept. It is safe for concurrent use.
type plans struct {
	mu   sync.RWMutex
	defs *blocks.Definitions
	day  int64
	size int
	held map[string]*plan
}

// Bounds of what is kept, in nodes of all expressions (taken as a hundred bytes each). A plan larger than the second is not kept, so that
// one large question does not drive out the small ones.
const (
	maxPlanned = 1 << 18
	maxPlan    = 1 << 14
)

func (p *plans) get(defs *blocks.Definitions, day int64, key []byte) *plan {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.defs != defs || p.day != day {
		return nil
	}
	return p.held[string(key)]
}

func (p *plans) put(defs *blocks.Definitions, day int64, key []byte, made *plan) {
	size := len(key)/32 + made.size()
	if size > maxPlan {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.defs != defs || p.day != day || p.size+size > maxPlanned {
		// Where there is no room all go: those in use are back after one question each.
		p.defs, p.day, p.size, p.held = defs, day, 0, make(map[string]*plan)
	}
	if _, ok := p.held[string(key)]; ok {
		return
	}
	p.held[string(key)] = made
	p.size += size
}

// size is the number of nodes of the plan's expressions, with what it keeps of the blocks' directories counted as nodes.
func (p *plan) size() int {
	n := p.all.Size() + 2*p.blocks*blocks.BytesPerLook/100
	for _, e := range p.exprs {
		n += e.Size()
	}
	return n
}
