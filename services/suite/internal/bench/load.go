package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// Loaded says how the data came in. Where an earlier run loaded them, the figures are that run's.
type Loaded struct {
	People   int64   `json:"people"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"profiles_per_second"`
	Moves    int64   `json:"moves"`
	Caught   float64 `json:"index_caught_up_seconds"` // from the last commit until the index has everything
	Segments float64 `json:"segments_seconds"`        // from the first segment until all have their rows everywhere
	Earlier  bool    `json:"earlier_run"`
	// ChangesPerSecond is what was written beside the figure of changes under load.
	ChangesPerSecond float64 `json:"changes_per_second,omitempty"`
}

// made is what the folder's mark says of its data.
type made struct {
	People int    `json:"people"`
	Seed   uint64 `json:"seed"`
	Layout string `json:"layout"`
	Store  string `json:"store"`
	// Load is set when all is loaded.
	Load *Loaded `json:"load"`
}

const markFile = "narrowcast-bench.json"

func (w *world) made(l *Loaded) made {
	return made{w.opts.People, w.opts.Seed, w.opts.Layout, w.opts.Store, l}
}

// mark reads the folder's mark; nothing is there in a new folder. Data of another run are refused.
func (w *world) mark() (m made, err error) {
	text, err := os.ReadFile(filepath.Join(w.dir, markFile))
	if errors.Is(err, os.ErrNotExist) {
		return m, w.writeMark(nil)
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read the folder's mark: %w", err)
	}
	load := m.Load
	m.Load = nil
	if m != w.made(nil) {
		return m, fault.New(fault.Precondition, ReasonOtherData,
			"the folder holds the data of a run with other people, layout or stores; name another folder, or say the same")
	}
	m.Load = load
	return m, nil
}

func (w *world) writeMark(l *Loaded) error {
	text, err := json.MarshalIndent(w.made(l), "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, markFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the folder's mark: %w", err)
	}
	return nil
}

// ensureKeys makes the file of keys if it is not there.
func ensureKeys(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	keys, err := keyring.New()
	if err != nil {
		return err
	}
	return keyring.Create(path, keys)
}

// load fills the suite, or goes on where an earlier run stopped.
func (w *world) load(ctx context.Context) (*Loaded, error) {
	m, err := w.mark()
	if err != nil {
		return nil, err
	}
	if m.Load != nil {
		m.Load.Earlier = true
		w.opts.say("the data of an earlier run are there")
		return m.Load, w.settled(ctx)
	}
	l := &Loaded{}
	for _, a := range attributes() {
		id, _ := wire.AttributeID(a.GetName())
		_, err := w.attributes.CreateAttribute(ctx, &profilev1.CreateAttributeRequest{AttributeId: id, Attribute: a})
		if err != nil && fault.ReasonOf(err) != "ATTRIBUTE_EXISTS" {
			return nil, fmt.Errorf("declare the attribute %s: %w", id, err)
		}
	}
	if err := w.people(ctx, l); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := w.caughtUp(ctx); err != nil {
		return nil, err
	}
	l.Caught = time.Since(begun).Seconds()
	begun = time.Now()
	if err := w.divide(ctx); err != nil {
		return nil, err
	}
	if err := w.settled(ctx); err != nil {
		return nil, err
	}
	l.Segments = time.Since(begun).Seconds()
	w.opts.say("%d segments in %.1f s", segmentCount, l.Segments)
	return l, w.writeMark(l)
}

// people imports everybody, and then those who move.
func (w *world) people(ctx context.Context, l *Loaded) error {
	begun := time.Now()
	result, err := w.send(ctx, "people", w.crowd.n, func(position int) *profilev1.Profile {
		p := w.crowd.at(w.crowd.rank(position), false)
		return w.crowd.profile(&p)
	})
	if err != nil {
		return fmt.Errorf("import the people: %w", err)
	}
	l.People, l.Seconds = result.Committed, time.Since(begun).Seconds()
	l.Rate = float64(result.Committed-result.Resumed) / l.Seconds
	w.opts.say("%s people in %.1f s, %s a second", table.Int(l.People), l.Seconds, table.Int(int64(l.Rate)))
	var movers []int
	for rank := range w.crowd.n {
		if w.crowd.moves(rank) {
			movers = append(movers, rank)
		}
	}
	if len(movers) == 0 {
		return nil
	}
	result, err = w.send(ctx, "moves", len(movers), func(i int) *profilev1.Profile {
		p := w.crowd.at(movers[i], true)
		return w.crowd.profile(&p)
	})
	if err != nil {
		return fmt.Errorf("import the moves: %w", err)
	}
	l.Moves = result.Committed
	return nil
}

// send imports n rows, going on where an earlier run of the same import stopped.
func (w *world) send(ctx context.Context, what string, n int, row func(int) *profilev1.Profile) (upload.Result, error) {
	begun, told := time.Now(), time.Now()
	opts := upload.Options{
		ImportID: fmt.Sprintf("bench-%s-%d-%d-%s", what, w.opts.Seed, n, w.opts.Layout),
		OnProgress: func(r upload.Result) {
			if time.Since(told) > 5*time.Second {
				told = time.Now()
				w.opts.say("%s: %s of %s, %s a second", what, table.Int(r.Committed), table.Int(n),
					table.Int(int64(float64(r.Committed-r.Resumed)/time.Since(begun).Seconds())))
			}
		},
	}
	var refused []upload.Rejection
	opts.OnReject = func(r upload.Rejection) { refused = append(refused[:0], r) }
	result, err := upload.Run(ctx, w.profiles, func(yield func(upload.Item[*profilev1.Profile], error) bool) {
		for i := range n {
			if !yield(upload.Item[*profilev1.Profile]{Row: row(i)}, nil) {
				return
			}
		}
	}, opts)
	if err != nil {
		return result, err
	}
	if result.Rejected > 0 {
		err = fmt.Errorf("%d rows were rejected", result.Rejected)
		if len(refused) > 0 {
			err = fmt.Errorf("%w, the last one for %s at %s", err, refused[0].Reason, refused[0].Field)
		}
	}
	return result, err
}

// listChunk is how many names one call puts on a static list.
const listChunk = 10_000

// divide makes the segments.
func (w *world) divide(ctx context.Context) error {
	for i := range segments {
		s := &segments[i]
		seg := &segmentv1.Segment{DisplayName: s.id}
		if s.rule == "" {
			seg.Definition = &segmentv1.Segment_StaticList_{StaticList: &segmentv1.Segment_StaticList{}}
		} else {
			seg.Definition = &segmentv1.Segment_Rule{Rule: s.rule}
		}
		_, err := w.segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: s.id, Segment: seg})
		if err != nil && fault.ReasonOf(err) != "SEGMENT_EXISTS" {
			return fmt.Errorf("create %s: %w", s.id, err)
		}
	}
	waiting := map[int][]string{}
	flush := func(k int) error {
		_, err := w.segments.AddSegmentMembers(ctx, &segmentv1.AddSegmentMembersRequest{Name: segments[k].name(), Profiles: waiting[k]})
		waiting[k] = waiting[k][:0]
		if err != nil {
			return fmt.Errorf("fill %s: %w", segments[k].id, err)
		}
		return nil
	}
	var lists []int
	for k := range segments {
		if segments[k].rule == "" {
			lists = append(lists, k)
		}
	}
	for rank := range w.crowd.n {
		p := w.crowd.at(rank, false)
		for _, k := range lists {
			if !segments[k].holds(&p, day{}) {
				continue
			}
			if waiting[k] = append(waiting[k], wire.ProfileName(w.crowd.uid(rank))); len(waiting[k]) == listChunk {
				if err := flush(k); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range lists {
		if len(waiting[k]) > 0 {
			if err := flush(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// caughtUp waits until the index has everything that is committed.
func (w *world) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	told := time.Now()
	for {
		n, err := w.everybody(ctx)
		if err == nil && n != int64(w.crowd.n) {
			return fault.Newf(fault.Internal, ReasonWrong, "the index has %d people of %d", n, w.crowd.n)
		}
		if err == nil {
			return nil
		}
		if !passing(err) || ctx.Err() != nil {
			return fmt.Errorf("wait for the index: %w", err)
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			w.opts.say("waiting for the index (%s)", fault.ReasonOf(err))
		}
		if err := upload.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// everybody counts all, as of the newest position.
func (w *world) everybody(ctx context.Context) (int64, error) {
	res, err := w.audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: question{}.ref(), Consistency: fully})
	return res.GetCount(), err
}

var fully = &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}}

// settled waits until the index has everything and every segment answers from rows.
func (w *world) settled(ctx context.Context) error {
	if err := w.caughtUp(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	told := time.Now()
	for {
		building := 0
		for token := ""; ; {
			res, err := w.segments.ListSegments(ctx, &segmentv1.ListSegmentsRequest{PageSize: 1000, PageToken: token})
			if err != nil {
				return fmt.Errorf("list the segments: %w", err)
			}
			for _, s := range res.GetSegments() {
				if s.GetState() != segmentv1.Segment_STATE_ACTIVE {
					building++
				}
			}
			if token = res.GetNextPageToken(); token == "" {
				break
			}
		}
		if building == 0 {
			return w.caughtUp(ctx)
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			w.opts.say("%d segments are being built", building)
		}
		if err := upload.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
