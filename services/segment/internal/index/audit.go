package index

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// audit evaluates all segments on one whole block, when the pause since the last one is over, and compares with the rows that
// ticks kept. A difference is a mistake of this program: it is counted, logged and repaired.
func (x *Index) audit(ctx context.Context, st *state) {
	now := x.now()
	if x.cfg.Audit <= 0 || !st.live || len(st.blocks) == 0 || now.Before(x.auditAt) {
		return
	}
	x.auditAt = now.Add(x.cfg.Audit)
	b := st.blocks[x.auditNext%len(st.blocks)]
	x.auditNext++
	var out audience.Bits
	v := b.view()
	for _, r := range st.rules {
		row := b.segments[r.field]
		if row == nil {
			continue
		}
		if err := r.evaluate(v, nil, &out); err != nil {
			x.log.ErrorContext(ctx, "audit of a segment failed", "block", b.n, "error", err)
			continue
		}
		if out.Equal(row.bits()) {
			continue
		}
		x.metrics.differences.Add(ctx, 1)
		x.log.ErrorContext(ctx, "a segment's row differs from its rule; it is written again", "block", b.n, "segment", r.version.name)
		repaired := out
		x.mu.Lock()
		b.segments[r.field] = rowOf(&repaired)
		b.touch(r.field)
		b.loses = true
		x.mu.Unlock()
	}
}
