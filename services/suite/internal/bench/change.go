package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// name is somebody's resource name.
func (w *world) name(rank int) string { return wire.ProfileName(w.crowd.uid(rank)) }

// candidates are people who would be in Q1 if they were directors, and are known to have another job level.
func (c *crowd) candidates(on day, most int) (list []int) {
	for rank := range c.n {
		p := c.at(rank, true)
		if p.level != 0 && p.level != levelDirector && q1[0].holds(&p, on) && q1[1].holds(&p, on) {
			if list = append(list, rank); len(list) == most {
				break
			}
		}
	}
	return list
}

// changing makes somebody a director and asks Q1 with the token of the write. Afterwards it is taken back, and waited for.
func (w *world) changing(candidates []int) *op {
	turn := 0
	set := func(ctx context.Context, rank int, level typev1.JobLevel) (int64, error) {
		res, err := w.profiles.UpdateProfile(ctx, &profilev1.UpdateProfileRequest{
			Profile:    &profilev1.Profile{Name: w.name(rank), JobLevel: level},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"job_level"}},
		})
		if err != nil {
			return 0, fmt.Errorf("change a profile: %w", err)
		}
		count, err := w.audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: q1.ref(), Consistency: since(res.GetConsistencyToken())})
		return count.GetCount(), err
	}
	return &op{
		name: nameChange, path: PathGRPC, about: aboutChange, least: 5,
		do: func(ctx context.Context) (check, error) {
			n, err := set(ctx, candidates[turn%len(candidates)], typev1.JobLevel_JOB_LEVEL_DIRECTOR)
			return func(t *truth) (int64, bool) { return n, n == t.total(nameQ1)+1 }, err
		},
		after: func(ctx context.Context) error {
			rank := candidates[turn%len(candidates)]
			turn++
			p := w.crowd.at(rank, true)
			_, err := set(ctx, rank, w.crowd.profile(&p).GetJobLevel())
			return err
		},
	}
}

// heal makes those who may have been left changed by a run that was cut short what they are.
func (w *world) heal(ctx context.Context, ranks []int) error {
	req := &profilev1.BatchUpsertProfilesRequest{}
	for _, rank := range ranks {
		p := w.crowd.at(rank, true)
		req.Profiles = append(req.Profiles, w.crowd.profile(&p))
	}
	_, err := w.profiles.BatchUpsertProfiles(ctx, req)
	if err != nil {
		return fmt.Errorf("bring back who was changed: %w", err)
	}
	return w.caughtUp(ctx)
}

// writers is how many changes are under way at a time at most.
const writers = 64

// underLoad takes the time of changes while others are written steadily: of one attribute or one consent of random people, none of
// which a question asks for. It returns how many a second there were.
func (w *world) underLoad(ctx context.Context, o *op) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Load)
	defer cancel()
	var done, late atomic.Int64
	var once sync.Once
	var failed error
	due := make(chan uint64, writers)
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for n := range due {
				if err := w.write(context.WithoutCancel(ctx), n); err != nil { // what is begun is brought to its end
					once.Do(func() { failed = err; cancel() })
					continue
				}
				done.Add(1)
			}
		})
	}
	collect() // what the runtime says of processor time is as of a collection
	before, begun := cpuNow(), time.Now()
	writing.Go(func() { // the pace: what cannot be begun in time is skipped and counted
		defer close(due)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sent := uint64(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for ; sent < uint64(time.Since(begun).Seconds()*float64(w.opts.Rate)); sent++ {
				select {
				case due <- sent:
				default:
					late.Add(1)
				}
			}
		}
	})
	for ctx.Err() == nil {
		if err = w.take(context.WithoutCancel(ctx), o, true); err != nil {
			cancel()
			break
		}
	}
	took := time.Since(begun)
	writing.Wait()
	collect()
	after := cpuNow()
	o.note = fmt.Sprintf("%d changes written beside it, %d left out as too late; %.2f processors busy in the whole process",
		done.Load(), late.Load(), (after.all-after.idle-before.all+before.idle)/time.Since(begun).Seconds())
	return float64(done.Load()) / took.Seconds(), errors.Join(err, failed)
}

// write changes an attribute or a consent of somebody.
func (w *world) write(ctx context.Context, n uint64) error {
	p := w.crowd.at(int(mix(n^0x6c6f6164)%uint64(w.crowd.n)), true)
	profile := &profilev1.Profile{Name: w.name(p.rank)}
	path := "custom.newsletter"
	if n%2 == 0 {
		profile.Custom = map[string]*typev1.AttributeValue{"newsletter": {Value: &typev1.AttributeValue_Boolean{Boolean: n>>1&1 == 0}}}
	} else {
		path = "consents"
		status := typev1.ConsentStatus_CONSENT_STATUS_GRANTED
		if n>>1&1 == 0 {
			status = typev1.ConsentStatus_CONSENT_STATUS_DENIED
		}
		profile.Consents = append(w.crowd.profile(&p).GetConsents(), &profilev1.Consent{
			Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MEASUREMENT, Status: status,
		})
	}
	_, err := w.profiles.UpdateProfile(ctx, &profilev1.UpdateProfileRequest{Profile: profile, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
	return err
}
