package campaign

import "context"

// Store keeps audiences and campaigns. It is safe for concurrent use; every write is durable when it returns. Errors are faults, or the
// context's error: UNAVAILABLE with STORE_UNAVAILABLE where the database does not answer or was closed, EXHAUSTED with STORE_FULL where
// its disk is full. Names are compared and ordered by bytes. Lists are key sets: a page begins after a name, so resources that are
// created or deleted meanwhile neither repeat nor hide others.
type Store interface {
	// CreateAudience stores a new audience and returns it as stored: Version 1, a fresh Etag, CreateTime and UpdateTime now. UID is
	// the caller's. AudienceExists if the name is taken.
	CreateAudience(ctx context.Context, a Audience) (Audience, error)
	// Audience returns an audience, or AudienceNotFound.
	Audience(ctx context.Context, name string) (Audience, error)
	// AudienceSpec returns the spec that an audience had at a version, or AudienceNotFound.
	AudienceSpec(ctx context.Context, name string, version int64) (Spec, error)
	// Audiences returns at most limit audiences whose names follow after, in order of names.
	Audiences(ctx context.Context, after string, limit int) ([]Audience, error)
	// UpdateAudience replaces DisplayName, Description, Owner and Spec of the audience of that name if its Etag is still a.Etag, and
	// returns it as stored: with a fresh Etag, UpdateTime now, and Version one higher if the spec is another one. EtagMismatch if it
	// has changed, AudienceNotFound if it is gone.
	UpdateAudience(ctx context.Context, a Audience) (Audience, error)
	// DeleteAudience deletes an audience with its versions if its etag is still that one ("": whatever it is). AudienceInUse, naming one
	// campaign, while a campaign has it; EtagMismatch; AudienceNotFound.
	DeleteAudience(ctx context.Context, name, etag string) error

	// CreateCampaign stores a new campaign and returns it as stored: a fresh Etag, CreateTime and UpdateTime now. CampaignExists if the
	// name is taken; NoSuchAudience if its audience does not exist.
	CreateCampaign(ctx context.Context, c Campaign) (Campaign, error)
	// Campaign returns a campaign, or CampaignNotFound.
	Campaign(ctx context.Context, name string) (Campaign, error)
	// Campaigns returns at most limit campaigns whose names follow after, in order of names.
	Campaigns(ctx context.Context, after string, limit int) ([]Campaign, error)
	// UpdateCampaign replaces all but Name, UID and CreateTime of the campaign if its Etag is still c.Etag, and returns it as stored.
	// EtagMismatch, CampaignNotFound, NoSuchAudience as above.
	UpdateCampaign(ctx context.Context, c Campaign) (Campaign, error)
	// DeleteCampaign deletes a campaign if its etag is still that one ("": whatever it is). EtagMismatch, CampaignNotFound.
	DeleteCampaign(ctx context.Context, name, etag string) error

	// Ping asks the database for an answer now.
	Ping(ctx context.Context) error
	// Close releases the store. Calls after it are UNAVAILABLE with STORE_UNAVAILABLE; closing again is no error.
	Close() error
}
