package index

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// Names that this package alone uses.
const (
	metricPending = "narrowcast.segment.pending"
	metricFill    = "narrowcast.segment.block_fill"
	metricUse     = "narrowcast.segment.block_use"
	metricPurity  = "narrowcast.segment.lane_purity"
	metricRefused = "narrowcast.segment.refused_facts"
	// metricCheckpoints counts checkpoints that were written, or tried to be used, by what came of it.
	metricCheckpoints = "narrowcast.segment.checkpoints"
)

// What can come of a checkpoint.
var (
	outcomeSaved   = outcome("saved")
	outcomeFailed  = outcome("failed")
	outcomeUsed    = outcome("used")
	outcomeRefused = outcome("refused")
)

func outcome(word string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", word)))
}

func (m *metrics) checkpoint(outcome metric.MeasurementOption) {
	m.checkpoints.Add(context.Background(), 1, outcome)
}

type metrics struct {
	duration    metric.Float64Histogram
	changes     metric.Int64Histogram
	refills     metric.Int64Counter
	differences metric.Int64Counter
	refused     metric.Int64Counter
	checkpoints metric.Int64Counter
	// observed ends the observation: another index may follow in this process.
	observed metric.Registration
}

func newMetrics(meter metric.Meter, x *Index) (*metrics, error) {
	if meter == nil {
		meter = noop.Meter{}
	}
	m := new(metrics)
	var errs [7]error
	m.duration, errs[0] = meter.Float64Histogram(telemetry.MetricTickDuration, metric.WithUnit("s"), metric.WithDescription("duration of the index's ticks that had changes"))
	m.changes, errs[1] = meter.Int64Histogram(telemetry.MetricTickChanges, metric.WithDescription("changes that a tick took"))
	m.refills, errs[2] = meter.Int64Counter(telemetry.MetricRefills, metric.WithDescription("blocks written again on request"))
	m.differences, errs[3] = meter.Int64Counter(telemetry.MetricAuditDifferences, metric.WithDescription("rows that the audit found different and repaired"))
	m.refused, errs[4] = meter.Int64Counter(metricRefused, metric.WithDescription("facts that the schema did not allow"))
	m.checkpoints, errs[6] = meter.Int64Counter(metricCheckpoints, metric.WithDescription("checkpoints that were written or were to be used, by what came of it"))
	m.observed, errs[5] = observe(meter, x)
	return m, errors.Join(errs[:]...)
}

// observe registers what is looked at when metrics are read.
func observe(meter metric.Meter, x *Index) (metric.Registration, error) {
	lag, err1 := meter.Int64ObservableGauge(telemetry.MetricIndexLag, metric.WithDescription("revisions that the index is behind the profile store"))
	profiles, err2 := meter.Int64ObservableGauge(telemetry.MetricProfiles, metric.WithDescription("profiles that live in the index"))
	count, err3 := meter.Int64ObservableGauge(telemetry.MetricBlocks, metric.WithDescription("blocks of the index"))
	pending, err4 := meter.Int64ObservableGauge(metricPending, metric.WithDescription("segments whose newest definition is being built"))
	fill, err5 := meter.Float64ObservableGauge(metricFill, metric.WithUnit("1"), metric.WithDescription("share of the given ordinals whose profiles live"))
	use, err6 := meter.Float64ObservableGauge(metricUse, metric.WithUnit("1"), metric.WithDescription("share of the blocks' ordinals that were given"))
	purity, err7 := meter.Float64ObservableGauge(metricPurity, metric.WithUnit("1"),
		metric.WithDescription("share of the profiles with a region who live in the commonest one of their block"))
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		through := x.published.get()
		if head := x.head.Load(); head >= through.Profiles.Revision {
			o.ObserveInt64(lag, int64(head-through.Profiles.Revision))
		}
		x.mu.RLock()
		defer x.mu.RUnlock()
		if x.st == nil {
			return nil
		}
		live, given, waiting, placed, common := 0, 0, 0, 0, 0
		for _, b := range x.st.blocks {
			live += b.live().n
			given += len(b.uids)
			all, most := b.regions()
			placed, common = placed+all, common+most
		}
		for _, d := range x.st.segments {
			if d.answering != d.newest {
				waiting++
			}
		}
		o.ObserveInt64(profiles, int64(live))
		o.ObserveInt64(count, int64(len(x.st.blocks)))
		o.ObserveInt64(pending, int64(waiting))
		if given > 0 {
			o.ObserveFloat64(fill, float64(live)/float64(given))
			o.ObserveFloat64(use, float64(given)/float64(len(x.st.blocks)*audience.BlockSize))
		}
		if placed > 0 {
			o.ObserveFloat64(purity, float64(common)/float64(placed))
		}
		return nil
	}, lag, profiles, count, pending, fill, use, purity)
}

func (m *metrics) tick(ctx context.Context, took time.Duration, changes int) {
	if changes > 0 {
		m.duration.Record(ctx, took.Seconds())
		m.changes.Record(ctx, int64(changes))
	}
}

// regions returns how many of the block's profiles have a region, and how many of them the commonest one.
func (b *block) regions() (all, most int) {
	for f, r := range b.rows {
		p, ok := audience.ParseField(f)
		if !ok || p.Class != audience.ClassFact || p.Attr != audience.AttrRegion || !p.Exact && region.IsParent(p.Value) {
			continue // who lives in a part of it is counted there
		}
		all += r.n
		most = max(most, r.n)
	}
	return all, most
}
