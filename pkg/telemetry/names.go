package telemetry

import "go.opentelemetry.io/otel/attribute"

// Scope is the instrumentation scope under which a package's spans and metrics are made: Scope + "segment".
const Scope = "github.com/narrowcast/narrowcast/"

// Attributes of spans and metrics. None of them may hold a fact about a person.
const (
	// AttrStore is the id of the installation.
	AttrStore = attribute.Key("narrowcast.store")
	// AttrReason is the stable reason of a fault.
	AttrReason = attribute.Key("narrowcast.reason")
	// AttrMethod is a gRPC method's full name, "/narrowcast.profile.v1.ProfileService/GetProfile".
	AttrMethod = attribute.Key("narrowcast.rpc.method")
	// AttrCode is a canonical status code in capitals: "OK", "NOT_FOUND".
	AttrCode = attribute.Key("narrowcast.rpc.code")
	// AttrRequestID is the id that the log lines of one request share.
	AttrRequestID = attribute.Key("narrowcast.rpc.request_id")
	// AttrRevision is a revision of the profile store.
	AttrRevision = attribute.Key("narrowcast.profile.revision")
	// AttrDefinitionRevision is a revision of the segment store.
	AttrDefinitionRevision = attribute.Key("narrowcast.segment.definition_revision")
	// AttrChanges is how many changes a commit or a tick held.
	AttrChanges = attribute.Key("narrowcast.changes")
	// AttrRows is how many rows or columns were written or read.
	AttrRows = attribute.Key("narrowcast.blocks.rows")
	// AttrBlock is a block's number.
	AttrBlock = attribute.Key("narrowcast.blocks.block")
	// AttrBlocks is how many blocks an operation touched.
	AttrBlocks = attribute.Key("narrowcast.blocks.blocks")
	// AttrFromMemory and AttrFromStore are how many rows an answer took from its memory and from the byte store.
	AttrFromMemory = attribute.Key("narrowcast.blocks.from_memory")
	AttrFromStore  = attribute.Key("narrowcast.blocks.from_store")
	// AttrRefilled is how many blocks had to be written again for an answer.
	AttrRefilled = attribute.Key("narrowcast.blocks.refilled")
	// AttrSegment is a segment's resource name.
	AttrSegment = attribute.Key("narrowcast.segment.name")
	// AttrAudience is a saved audience's resource name.
	AttrAudience = attribute.Key("narrowcast.campaign.audience")
)

// Metrics. Units are in the comments and given again where the instrument is made.
const (
	// MetricCalls counts finished calls by method and code.
	MetricCalls = "narrowcast.rpc.calls"
	// MetricDuration is the duration of calls in seconds, by method and code.
	MetricDuration = "narrowcast.rpc.duration"
	// MetricInFlight is how many calls run now, by method.
	MetricInFlight = "narrowcast.rpc.in_flight"
	// MetricPanics counts panics that were caught.
	MetricPanics = "narrowcast.rpc.panics"
	// MetricRevision is the head of the profile store.
	MetricRevision = "narrowcast.profile.revision"
	// MetricWatchers is how many streams watch the profile store.
	MetricWatchers = "narrowcast.profile.watchers"
	// MetricImportRows counts rows of imports by outcome.
	MetricImportRows = "narrowcast.profile.import_rows"
	// MetricTickDuration is the duration of the index's ticks in seconds.
	MetricTickDuration = "narrowcast.segment.tick_duration"
	// MetricTickChanges is how many changes a tick took.
	MetricTickChanges = "narrowcast.segment.tick_changes"
	// MetricIndexLag is how far the index is behind the profile store, in revisions.
	MetricIndexLag = "narrowcast.segment.index_lag"
	// MetricProfiles is how many profiles are live in the index.
	MetricProfiles = "narrowcast.segment.profiles"
	// MetricBlocks is how many blocks the index has.
	MetricBlocks = "narrowcast.segment.blocks"
	// MetricRefills counts blocks written again on request.
	MetricRefills = "narrowcast.segment.refills"
	// MetricAuditDifferences counts differences between an audit's rows and the published ones; each is an error, repaired.
	MetricAuditDifferences = "narrowcast.segment.audit_differences"
	// MetricBlockWrites counts writes of blocks to the byte store.
	MetricBlockWrites = "narrowcast.blocks.writes"
	// MetricBlockBytes counts the bytes of those writes.
	MetricBlockBytes = "narrowcast.blocks.written_bytes"
	// MetricBlockRefills counts blocks written whole again because a reader asked.
	MetricBlockRefills = "narrowcast.blocks.refills"
	// MetricFrames counts manifest frames published.
	MetricFrames = "narrowcast.blocks.frames"
	// MetricStreams is how many member streams run.
	MetricStreams = "narrowcast.blocks.streams"
	// MetricSubscribers is how many readers follow the manifest.
	MetricSubscribers = "narrowcast.blocks.subscribers"
	// MetricManifestAge is the age in seconds of the newest manifest frame a reader holds.
	MetricManifestAge = "narrowcast.blocks.manifest_age"
	// MetricRowsRead counts rows by where they came from: memory or store.
	MetricRowsRead = "narrowcast.blocks.rows_read"
	// MetricUnknown counts blocks found unknown, by cause.
	MetricUnknown = "narrowcast.blocks.unknown"
	// MetricMemoryBytes is how many bytes of decoded rows a reader holds.
	MetricMemoryBytes = "narrowcast.blocks.memory_bytes"
	// MetricResolveDuration is the duration of audience answers in seconds.
	MetricResolveDuration = "narrowcast.campaign.resolve_duration"
	// MetricMembersSent counts members sent by streams.
	MetricMembersSent = "narrowcast.campaign.members_sent"
)
