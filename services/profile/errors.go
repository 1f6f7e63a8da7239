package profile

import (
	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults of this service; the names of its contract's ErrorReason without their prefix.
const (
	ReasonValidationFailed     = "VALIDATION_FAILED"
	ReasonProfileNotFound      = "PROFILE_NOT_FOUND"
	ReasonProfileExists        = "PROFILE_EXISTS"
	ReasonExternalIDTaken      = "EXTERNAL_ID_TAKEN"
	ReasonEtagMismatch         = "ETAG_MISMATCH"
	ReasonAttributeNotFound    = "ATTRIBUTE_NOT_FOUND"
	ReasonAttributeExists      = "ATTRIBUTE_EXISTS"
	ReasonAttributeImmutable   = "ATTRIBUTE_IMMUTABLE"
	ReasonUnknownAttribute     = "UNKNOWN_ATTRIBUTE"
	ReasonTypeMismatch         = "ATTRIBUTE_TYPE_MISMATCH"
	ReasonValueNotAllowed      = "VALUE_NOT_ALLOWED"
	ReasonUnknownRegion        = "UNKNOWN_REGION"
	ReasonInvalidDate          = audience.ReasonInvalidDate
	ReasonInvalidNumber        = audience.ReasonInvalidNumber
	ReasonDuplicateConsent     = "DUPLICATE_CONSENT"
	ReasonDuplicateIdentifier  = "DUPLICATE_IDENTIFIER"
	ReasonInvalidIdentifier    = "INVALID_IDENTIFIER"
	ReasonIdentifierBlocked    = "IDENTIFIER_BLOCKED"
	ReasonTooManyIdentifiers   = "TOO_MANY_IDENTIFIERS"
	ReasonInvalidEvent         = "INVALID_EVENT"
	ReasonEventNotFound        = "EVENT_NOT_FOUND"
	ReasonNotOneProfile        = "NOT_ONE_PROFILE"
	ReasonExportProtocol       = "EXPORT_PROTOCOL"
	ReasonUnknownField         = "UNKNOWN_FIELD"
	ReasonImportProtocol       = "IMPORT_PROTOCOL"
	ReasonImportGap            = "IMPORT_GAP"
	ReasonCursorInvalid        = "CURSOR_INVALID"
	ReasonCursorTooOld         = "CURSOR_TOO_OLD"
	ReasonCursorOfAnotherStore = "CURSOR_OF_ANOTHER_STORE"
	ReasonWatcherTooSlow       = "WATCHER_TOO_SLOW"
	ReasonServerGoingAway      = "SERVER_GOING_AWAY"
	ReasonStoreUnavailable     = "STORE_UNAVAILABLE"
	ReasonStoreFull            = "STORE_FULL"
	ReasonStoreReadOnly        = "STORE_READ_ONLY"
	ReasonSchemaNewer          = "SCHEMA_NEWER"
	ReasonSchemaOlder          = "SCHEMA_OLDER"
	ReasonKeyUnknown           = "KEY_UNKNOWN"
	ReasonSealBroken           = "SEAL_BROKEN"
	ReasonRateLimited          = "RATE_LIMITED"
	ReasonMergeNotFound        = "MERGE_NOT_FOUND"
	ReasonMergeExpired         = "MERGE_EXPIRED"
	ReasonMergeBuiltUpon       = "MERGE_BUILT_UPON"
	ReasonAlreadyMerged        = "ALREADY_MERGED"
	ReasonInternal             = "INTERNAL"
)

// NotFound is the fault about a profile that does not exist; name is its resource name.
func NotFound(name string) error {
	return fault.New(fault.NotFound, ReasonProfileNotFound, "there is no profile "+name).With("name", name)
}

// Exists is the fault about a uid that is taken, or was that of a deleted profile.
func Exists(name string) error {
	return fault.New(fault.Exists, ReasonProfileExists, "the uid of "+name+" is taken, or was that of a deleted profile; leave the name out to get a new one").
		With("name", name)
}

// ExternalIDTaken is the fault about an external id that another profile holds; the value is personal and not named.
func ExternalIDTaken(source string) error {
	return fault.New(fault.Exists, ReasonExternalIDTaken, "another profile holds the external id of the source "+source+"; update that profile instead").
		With("source", source)
}

// EtagMismatch is the fault about a resource that has changed since it was read.
func EtagMismatch(name string) error {
	return fault.New(fault.Conflict, ReasonEtagMismatch, name+" has changed since it was read; read it again and repeat the change").
		With("name", name)
}

// AttributeNotFound is the fault about a custom attribute that is not declared; name is its resource name.
func AttributeNotFound(name string) error {
	return fault.New(fault.NotFound, ReasonAttributeNotFound, "there is no attribute "+name).With("name", name)
}

// AttributeExists is the fault about an attribute id that is taken.
func AttributeExists(name string) error {
	return fault.New(fault.Exists, ReasonAttributeExists, "the attribute "+name+" is declared already").With("name", name)
}

// AsInvalid returns err with a reason of this service's contract: a fault that collects several reasons gets VALIDATION_FAILED.
func AsInvalid(err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid || f.Reason != fault.ReasonInvalid {
		return err
	}
	c := *f
	c.Reason = ReasonValidationFailed
	return &c
}
