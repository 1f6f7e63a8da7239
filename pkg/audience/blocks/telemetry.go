package blocks

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

// The metrics that dashboards use are named in package telemetry; these are this package's own beside them.
const (
	// metricWrites counts writes of blocks, by kind and outcome.
	metricWrites = "narrowcast.blocks.writes"
	// metricWrittenBytes counts the bytes of those that succeeded.
	metricWrittenBytes = "narrowcast.blocks.written_bytes"
	// metricRefills counts the refills that a reader asked for, by outcome.
	metricRefills = "narrowcast.blocks.refills"
	// metricFrames counts frames of the manifest that were applied.
	metricFrames = "narrowcast.blocks.frames"
	// metricStreams counts streams of the manifest that ended, by whether they had brought anything.
	metricStreams = "narrowcast.blocks.streams"
	// metricSubscribers is how many readers follow the manifest.
	metricSubscribers = "narrowcast.blocks.subscribers"

	metricFields  = telemetry.MetricRowsRead
	metricUnknown = telemetry.MetricUnknown
	metricMemory  = telemetry.MetricMemoryBytes
	metricAge     = telemetry.MetricManifestAge
)

// Attributes of the metrics.
const (
	attrWhole  = attribute.Key("whole")
	attrFailed = attribute.Key("failed")
	attrSource = attribute.Key("source")
	attrCause  = attribute.Key("cause")
	attrHeld   = attribute.Key("content")
)

// Attributes that are made once: they are counted with on the way of every answer.
var (
	fromMemory = metric.WithAttributeSet(attribute.NewSet(attrSource.String("memory")))
	fromStore  = metric.WithAttributeSet(attribute.NewSet(attrSource.String("store")))
	heldRows   = metric.WithAttributeSet(attribute.NewSet(attrHeld.String("rows")))
	heldPlaces = metric.WithAttributeSet(attribute.NewSet(attrHeld.String("uid_places")))
	heldUIDs   = metric.WithAttributeSet(attribute.NewSet(attrHeld.String("uids")))
)
