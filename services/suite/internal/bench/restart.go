package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	campaign "github.com/narrowcast/narrowcast/services/campaign/server"
)

// coldRounds is how many cold readers are made.
const coldRounds = 5

// cold opens further campaign services on the same blocks and asks each its first Q1, once it has heard of the manifest.
func (w *world) cold(ctx context.Context) (*op, error) {
	o := &op{name: nameCold, path: PathInside, about: "Q1, first question of a new reader that has the manifest"}
	for i := range min(coldRounds, w.opts.Rounds) {
		if err := w.coldReader(ctx, o, i); err != nil {
			return nil, fmt.Errorf("a cold reader: %w", err)
		}
	}
	return o, nil
}

func (w *world) coldReader(ctx context.Context, o *op, i int) (err error) {
	cfg := campaign.Default()
	cfg.Path = filepath.Join(w.dir, "cold-"+strconv.Itoa(i)+".db")
	local := w.suite.Local()
	reader, err := campaign.New(ctx, cfg, campaign.Deps{Logger: w.opts.Logger, Now: w.opts.Now, Segments: local, Profiles: local, Blocks: w.blocks})
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- reader.Run(following) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, reader.Close())
	}()
	var inside handlers
	reader.Register(&inside)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for reader.Ready(waiting) != nil {
		if err := pause(waiting, time.Millisecond); err != nil {
			return err
		}
	}
	o.do = counting(nameCold, o.about, PathInside, nameQ1, q1, inside.audiences.CountAudience).do
	return w.take(ctx, o, true)
}

// restart ends the suite and takes the time from the start of a new one to its first exact answer.
func (w *world) restart(ctx context.Context) (*op, error) {
	if err := w.halt(); err != nil {
		return nil, fmt.Errorf("stop the suite: %w", err)
	}
	collect()
	o := &op{name: nameRestart, path: PathGRPC, about: "start on what the stores hold, to the first exact Q1", note: "after a clean stop"}
	o.do = func(ctx context.Context) (check, error) {
		if err := w.start(ctx); err != nil {
			return nil, err
		}
		for {
			res, err := w.audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: q1.ref(), Consistency: fully})
			if err == nil {
				return func(t *truth) (int64, bool) { return res.GetCount(), res.GetCount() == t.total(nameQ1) }, nil
			}
			if !passing(err) {
				return nil, err
			}
			if err := pause(ctx, time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	return o, w.take(ctx, o, true)
}
