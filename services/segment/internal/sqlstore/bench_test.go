package sqlstore_test

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// BenchmarkAppendOrdinals appends 1,000 ordinals at a time, as the index does under an import.
func BenchmarkAppendOrdinals(b *testing.B) {
	s := open(b, sqlstore.Config{DB: sqldb.Config{Path: filepath.Join(b.TempDir(), "segment.db")}})
	lease, err := s.AcquireLease(b.Context(), "h", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	layout, err := s.BeginLayout(b.Context(), lease, segment.ProfileStore{})
	if err != nil {
		b.Fatal(err)
	}
	const run = 1000
	uids := make([]audience.UID, run)
	n := 0
	for b.Loop() {
		for i := range uids {
			binary.BigEndian.PutUint64(uids[i][8:], uint64(n+i+1))
		}
		first := n % 65_000
		if err := s.AppendOrdinals(b.Context(), lease, layout.Number, []segment.OrdinalRun{{Block: uint32(n / 65_000), First: uint32(first), UIDs: uids}}); err != nil {
			b.Fatal(err)
		}
		n += run
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "ordinals/s")
}
