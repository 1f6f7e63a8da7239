package campaign

import "github.com/narrowcast/narrowcast/pkg/fault"

// Stable reasons, as narrowcast.campaign.v1.ErrorReason names them.
const (
	ReasonAudienceNotFound = "AUDIENCE_NOT_FOUND"
	ReasonAudienceExists   = "AUDIENCE_EXISTS"
	ReasonAudienceInUse    = "AUDIENCE_IN_USE"
	ReasonCampaignNotFound = "CAMPAIGN_NOT_FOUND"
	ReasonCampaignExists   = "CAMPAIGN_EXISTS"
	ReasonEtagMismatch     = "ETAG_MISMATCH"
	ReasonInvalidRange     = "INVALID_RANGE"
	ReasonInvalidDate      = "INVALID_DATE"
	ReasonInvalidNumber    = "INVALID_NUMBER"
	ReasonUnknownRegion    = "UNKNOWN_REGION"
	ReasonUnknownJobLevel  = "UNKNOWN_JOB_LEVEL"
	ReasonUnknownValue     = "UNKNOWN_VALUE"
	ReasonUnknownSegment   = "UNKNOWN_SEGMENT"
	ReasonUnknownPersona   = "UNKNOWN_PERSONA"
	ReasonValidation       = "VALIDATION_FAILED"
	ReasonSchemaNewer      = "SCHEMA_NEWER"
	ReasonStoreUnavailable = "STORE_UNAVAILABLE"
	ReasonStoreFull        = "STORE_FULL"
)

// AudienceNotFound is the fault about a name that no audience has.
func AudienceNotFound(name string) *fault.Error {
	return fault.New(fault.NotFound, ReasonAudienceNotFound, "there is no "+name+"; list the audiences to see their names").With("name", name)
}

// CampaignNotFound is the fault about a name that no campaign has.
func CampaignNotFound(name string) *fault.Error {
	return fault.New(fault.NotFound, ReasonCampaignNotFound, "there is no "+name+"; list the campaigns to see their names").With("name", name)
}

// AudienceExists is the fault about an audience's name that is taken.
func AudienceExists(name string) *fault.Error {
	return fault.New(fault.Exists, ReasonAudienceExists, name+" exists; update it or choose another id").With("name", name)
}

// CampaignExists is the fault about a campaign's name that is taken.
func CampaignExists(name string) *fault.Error {
	return fault.New(fault.Exists, ReasonCampaignExists, name+" exists; update it or choose another id").With("name", name)
}

// AudienceInUse is the fault about an audience that cannot go because a campaign is aimed at it.
func AudienceInUse(name, campaign string) *fault.Error {
	return fault.New(fault.Precondition, ReasonAudienceInUse, name+" is the audience of "+campaign+"; delete the campaign or give it another audience first").
		With("name", name).With("used_by", campaign).
		Unmet(ReasonAudienceInUse, campaign, "delete it or give it another audience")
}

// EtagMismatch is the fault about a resource that has changed since it was read.
func EtagMismatch(name string) *fault.Error {
	return fault.New(fault.Conflict, ReasonEtagMismatch, name+" has changed since it was read; read it again and repeat the change").With("name", name)
}

// NoSuchAudience is the fault about a campaign whose audience does not exist: a wrong field, not a missing resource.
func NoSuchAudience(name string) *fault.Error {
	return fault.InvalidField(ReasonAudienceNotFound, "audience", "there is no "+name+"; save the audience first").With("name", name)
}
