package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

// Size is how much a part takes.
type Size struct {
	Part       string  `json:"part"`
	Bytes      int64   `json:"bytes"`
	PerProfile float64 `json:"bytes_per_profile"`
	Note       string  `json:"note,omitempty"`
}

// sizes weighs everything. The index must stand still meanwhile.
func (w *world) sizes(ctx context.Context) (list []Size, err error) {
	add := func(part string, bytes int64, note string) {
		list = append(list, Size{part, bytes, float64(bytes) / float64(w.crowd.n), note})
	}
	if err := w.storeSizes(add); err != nil {
		return nil, err
	}
	stored, err := w.blockSizes(ctx)
	if err != nil {
		return nil, fmt.Errorf("weigh the blocks: %w", err)
	}
	whole, uids := int64(0), int64(0)
	for _, p := range parts {
		whole += stored[p.name]
		if p.name == partUIDs {
			uids = stored[p.name]
		}
	}
	for _, p := range parts {
		add("blocks: "+p.name, stored[p.name], p.about)
	}
	add("blocks without uids", whole-uids, "as encoded, of the directories")
	if w.redisClient != nil {
		used, err := w.redisMemory(ctx)
		if err != nil {
			return nil, err
		}
		add("redis", used, "used_memory, uids included")
	}
	collect()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	reader, err := w.gauge("narrowcast_blocks_memory_bytes")
	if err != nil {
		return nil, err
	}
	add("reader", reader, "decoded rows in memory, as its metric says")
	add("heap of the process", int64(m.HeapAlloc), "after a collection: the indexer, the reader, caches, and the bench's own")
	left := int64(m.HeapAlloc) - reader
	if w.redisClient == nil {
		left -= whole
	}
	add("heap without reader and blocks", left, "the indexer, and what the rest leaves")
	return list, nil
}

// storeSizes weighs the stores' files.
func (w *world) storeSizes(add func(string, int64, string)) error {
	if w.opts.Store == StoreServers {
		if w.servers == nil || w.servers.postgresData == "" {
			return nil // a server of others: we see no files of it
		}
		n, err := tree(w.servers.postgresData)
		if err != nil {
			return err
		}
		add("postgres", n, "data folder of all services, logs of writes included")
		return nil
	}
	for _, name := range []string{"profile", "segment", "campaign"} {
		n := int64(0)
		for _, suffix := range []string{".db", ".db-wal"} {
			if info, err := os.Stat(filepath.Join(w.dir, name+suffix)); err == nil {
				n += info.Size()
			}
		}
		add("store: "+name, n, "SQLite file with its log")
	}
	return nil
}

// tree adds up the files of a folder.
func tree(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return nil // a file may go meanwhile
	})
	if err != nil {
		return 0, fmt.Errorf("weigh a folder: %w", err)
	}
	return sum, nil
}

// Parts of what the blocks hold.
const (
	partFacts    = "facts"
	partColumns  = "columns"
	partSegments = "segments"
	partUIDs     = "uids"
	partOther    = "other"
)

var parts = []struct{ name, about string }{
	{partFacts, "rows of attributes"}, {partColumns, "columns"}, {partSegments, "rows of segments"}, {partUIDs, "uid dictionary"}, {partOther, "the live rows, and what has no other part"},
}

// blockSizes adds up what the directories say of every field of every block.
func (w *world) blockSizes(ctx context.Context) (map[string]int64, error) {
	source := w.suite.Local()
	reader, stop, err := manifestwire.Follow(ctx, source, blocks.ReaderConfig{Store: w.blocks, Refiller: manifestwire.NewRefiller(source), MaxWait: patience})
	if err != nil {
		return nil, err
	}
	defer stop()
	var sums map[string]int64
	err = reader.Answer(ctx, blocks.AtLeast(blocks.Position{}), func(s *blocks.Session) error {
		sums = map[string]int64{}
		for _, block := range s.View().Blocks() {
			if _, err := s.Block(ctx, block, nil); err != nil { // its directory is known then
				return err
			}
			d := s.View().Directory(block)
			if d == nil {
				return fmt.Errorf("it is not known what block %d holds", block)
			}
			for _, e := range d.Entries {
				sums[partOf(e.Field)] += int64(e.Size)
			}
		}
		return nil
	})
	return sums, err
}

func partOf(f audience.Field) string {
	p, ok := audience.ParseField(f)
	switch {
	case !ok:
		return partUIDs
	case p.Class == audience.ClassFact, p.Class == audience.ClassPresence:
		return partFacts
	case p.Class == audience.ClassColumn:
		return partColumns
	case p.Class == audience.ClassSegment:
		return partSegments
	}
	return partOther
}

// redisMemory asks Redis how much memory it uses.
func (w *world) redisMemory(ctx context.Context) (int64, error) {
	text, err := w.redisClient.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("ask redis for its memory: %w", err)
	}
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, fmt.Errorf("redis does not say how much memory it uses")
}

// page takes what a handler writes.
type page struct {
	bytes.Buffer
	header http.Header
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *page) WriteHeader(int) {}

// gauge adds up a gauge of the suite's metrics.
func (w *world) gauge(name string) (sum int64, err error) {
	req, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		return 0, err
	}
	page := &page{header: http.Header{}}
	w.tel.Metrics.ServeHTTP(page, req)
	found := false
	for scan := bufio.NewScanner(&page.Buffer); scan.Scan(); {
		line := scan.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("read the metric %s: %w", name, err)
		}
		sum, found = sum+int64(v), true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, nil
}

// cpu is how much time processors have spent in this process, and of that in collecting memory, in seconds.
type cpu struct{ all, idle, gc float64 }

func cpuNow() cpu {
	s := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return cpu{s[0].Value.Float64(), s[1].Value.Float64(), s[2].Value.Float64()}
}

// gcShare is the share of collecting in what was spent between two moments.
func gcShare(a, b cpu) float64 {
	busy := b.all - b.idle - (a.all - a.idle)
	if busy <= 0 {
		return 0
	}
	return (b.gc - a.gc) / busy
}
