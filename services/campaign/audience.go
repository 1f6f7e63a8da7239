package campaign

import (
	"strings"
	"time"
)

// Prefixes of resource names.
const (
	AudiencePrefix = "audiences/"
	CampaignPrefix = "campaigns/"
)

// Audience is a saved spec.
type Audience struct {
	// Name is "audiences/{audience}".
	Name string
	// UID is an id that no other audience ever has (a UUID).
	UID         string
	DisplayName string
	Description string
	Spec        Spec
	// Version counts the versions of the spec, from 1. The store sets it.
	Version int64
	// Owner is a team or system, never personal data.
	Owner string
	// Etag changes with every change; quoted.
	Etag                   string
	CreateTime, UpdateTime time.Time
}

// Objectives that a campaign can have.
var Objectives = []string{"awareness", "consideration", "acquisition", "growth", "retention", "win_back"}

// StateDraft is the state of a campaign that is being prepared.
const StateDraft = "draft"

// Campaign is an effort to reach one audience with one proposition.
type Campaign struct {
	// Name is "campaigns/{campaign}".
	Name string
	// UID is an id that no other campaign ever has (a UUID).
	UID         string
	DisplayName string
	// Objective is one of Objectives.
	Objective        string
	ValueProposition string
	// Audience is the name of a saved audience.
	Audience string
	// Channel is one of pkg/audience's, or "".
	Channel string
	// Budget for the whole campaign; nil: none stated.
	Budget *Money
	// StartDay and EndDay are days since 1970-01-01; nil: not planned yet, open.
	StartDay, EndDay       *int64
	State                  string
	Etag                   string
	CreateTime, UpdateTime time.Time
}

// Money is an exact amount in hundredths of a currency (ISO 4217).
type Money struct {
	Currency string
	Cents    int64
}

// ShortName returns a resource's id: what follows the last "/" of its name.
func ShortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
