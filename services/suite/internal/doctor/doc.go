// Package doctor compares what the profile store tells with what the index made of it, and names the differences.
//
// It promises to change nothing, not even to have a damaged block written again; to report a profile only where the store held it unchanged
// before and after the blocks were read, at a position that they had reached, so that what is merely under way is no difference; and to
// name resources only, never a value. Each profile's rows and columns are derived as the segment service derives them, with the same code,
// and compared as a sum of hashes, so that a store of any size takes some tens of bytes for each profile.
//
// Segments are recounted through the services: their rows against their rules, which rows and columns of facts answer. Where blocks are in the
// memory of another process nobody else can read them: then only counts are compared.
//
// The command line calls it.
package doctor
