package rpc_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

const mostTrusted = profilev1.MergeProfilesRequest_POLICY_MOST_TRUSTED

// hears collects the next n changes of a stream.
func hears(t *testing.T, stream interface {
	Recv() (*profilev1.WatchProfilesResponse, error)
}, n int) []*profilev1.WatchProfilesResponse_Change {
	t.Helper()
	var changes []*profilev1.WatchProfilesResponse_Change
	for len(changes) < n {
		m, err := stream.Recv()
		must(t, err)
		changes = append(changes, m.GetChanges()...)
	}
	return changes
}

func TestTwoProfilesAreMergedAndParted(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{Trust: []string{"crm"}})
	made := func(source string, p *profilev1.Profile) *profilev1.Profile {
		t.Helper()
		res, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: p, Source: source})
		must(t, err)
		return res
	}
	a := made("crm", &profilev1.Profile{Occupation: proto.String("smith"), Identifiers: external("A1"), Consents: consenting().GetConsents()})
	b := made("web", &profilev1.Profile{Occupation: proto.String("baker"), Region: proto.String("FR"), Identifiers: []*profilev1.Identifier{email("b@example.com")}})
	before := w.revision(t)
	stream, err := w.WatchProfiles(t.Context(), &profilev1.WatchProfilesRequest{})
	must(t, err)
	hears(t, stream, 2)

	merge := func(req *profilev1.MergeProfilesRequest) (*profilev1.MergeProfilesResponse, error) {
		req.Name, req.Merged = a.GetName(), b.GetName()
		return w.MergeProfiles(t.Context(), req)
	}
	_, err = merge(&profilev1.MergeProfilesRequest{Etag: b.GetEtag()})
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch, "")
	_, err = merge(&profilev1.MergeProfilesRequest{MergedEtag: a.GetEtag()})
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch, "")
	_, err = w.UnmergeProfiles(t.Context(), &profilev1.UnmergeProfilesRequest{Name: b.GetName()})
	wantFault(t, err, fault.NotFound, profile.ReasonMergeNotFound, "")

	began := time.Now()
	res, err := merge(&profilev1.MergeProfilesRequest{Etag: a.GetEtag(), MergedEtag: b.GetEtag()})
	must(t, err)
	one := res.GetProfile()
	if one.GetName() != a.GetName() || one.GetOccupation() != "baker" || one.GetRegion() != "FR" || len(one.GetIdentifiers()) != 2 || one.GetConsistencyToken() == "" {
		t.Errorf("merged into %v", one)
	}
	if until := res.GetUndoExpireTime().AsTime(); until.Before(began.Add(30*24*time.Hour)) || until.After(time.Now().Add(30*24*time.Hour)) {
		t.Errorf("the merge can be undone until %v", until)
	}
	changes := hears(t, stream, 2)
	if changes[0].GetDeletedProfile() != b.GetName() || changes[0].GetMergedInto() != a.GetName() || changes[1].GetProfile().GetName() != a.GetName() || changes[1].GetMergedInto() != "" {
		t.Errorf("watchers hear %v", changes)
	}
	// The former name leads to the person: to read, to write, and to look for.
	got, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: b.GetName()})
	must(t, err)
	if got.GetName() != a.GetName() || got.GetEtag() != one.GetEtag() {
		t.Errorf("the former name leads to %v", got)
	}
	many, err := w.BatchGetProfiles(t.Context(), &profilev1.BatchGetProfilesRequest{Names: []string{b.GetName(), a.GetName()}})
	must(t, err)
	if names := []string{many.GetProfiles()[0].GetName(), many.GetProfiles()[1].GetName()}; !slices.Equal(names, []string{a.GetName(), a.GetName()}) {
		t.Errorf("the names lead to %v", names)
	}
	found, err := w.ResolveIdentifier(t.Context(), &profilev1.ResolveIdentifierRequest{Identifier: email("b@example.com")})
	if err != nil || found.GetProfile() != a.GetName() {
		t.Errorf("the identifier leads to %v (%v)", found, err)
	}
	updated, err := w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{
		Profile: &profilev1.Profile{Name: b.GetName(), Household: proto.String("h")}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"household"}},
	})
	must(t, err)
	if updated.GetName() != a.GetName() || updated.GetHousehold() != "h" {
		t.Errorf("the update by the former name gave %v", updated)
	}
	_, err = merge(&profilev1.MergeProfilesRequest{})
	wantFault(t, err, fault.Precondition, profile.ReasonAlreadyMerged, "")

	parted, err := w.UnmergeProfiles(t.Context(), &profilev1.UnmergeProfilesRequest{Name: b.GetName()})
	must(t, err)
	back, rest := parted.GetProfile(), parted.GetRemaining()
	if back.GetName() != b.GetName() || back.GetOccupation() != "baker" || back.GetIdentifiers()[0].GetValue() != "b@example.com" || !proto.Equal(back.GetCreateTime(), b.GetCreateTime()) {
		t.Errorf("the merged one came back as %v", back)
	}
	if rest.GetName() != a.GetName() || rest.GetOccupation() != "smith" || rest.GetRegion() != "" || rest.GetHousehold() != "h" || len(rest.GetIdentifiers()) != 1 {
		t.Errorf("the one that remained is %v", rest)
	}
	if after := w.revision(t); after != before+5 {
		t.Errorf("five changes moved the head from %d to %d", before, after)
	}
	// By trust the earlier one wins, since it came from the CRM.
	if res, err = merge(&profilev1.MergeProfilesRequest{Policy: mostTrusted}); err != nil || res.GetProfile().GetOccupation() != "smith" {
		t.Errorf("merged by trust into %v (%v)", res.GetProfile(), err)
	}
	_, err = w.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: b.GetName()})
	must(t, err)
	_, err = w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: a.GetName()})
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound, "")
	_, err = w.UnmergeProfiles(t.Context(), &profilev1.UnmergeProfilesRequest{Name: b.GetName()})
	wantFault(t, err, fault.Precondition, profile.ReasonMergeBuiltUpon, "")
}

// TestAPersonIsExportedOnceByAllNames exports by the uids of an audience that is older than a merge.
func TestAPersonIsExportedOnceByAllNames(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{})
	a := w.create(t, consenting(email("a@example.com")))
	b := w.create(t, consenting(email("b@example.com")))
	c := w.create(t, consenting(email("c@example.com")))
	for _, merged := range []*profilev1.Profile{b, c} {
		_, err := w.MergeProfiles(t.Context(), &profilev1.MergeProfilesRequest{Name: a.GetName(), Merged: merged.GetName()})
		must(t, err)
	}
	type message []*profilev1.Profile
	for _, messages := range [][]message{
		{{b}}, {{b, a}}, {{a, b}}, {{b, c}}, {{c, b, a, c}}, {{a}, {b}}, {{b}, {a}}, {{a}, {c}, {b}}, {{c}, {a, b}, {c, b}}, {{a, c}, {b}},
	} {
		asked := 0
		var chunks [][]byte
		for _, m := range messages {
			asked += len(m)
			chunks = append(chunks, packed(t, m...))
		}
		got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: profilev1.Destination_DESTINATION_RAW, Kinds: []typev1.IdentifierKind{emailKind}}, chunks...)
		must(t, err)
		if len(got.GetRecords()) != 1 || int(got.GetNotFound()) != asked-1 || len(got.GetRecords()[0].GetIdentifiers()) != 3 {
			t.Errorf("by %d uids in %d messages the person was exported %d times and %d are left: %v", asked, len(messages), len(got.GetRecords()), got.GetNotFound(), got)
		}
	}
	// Once the last merge is taken back there are two people again.
	_, err := w.UnmergeProfiles(t.Context(), &profilev1.UnmergeProfilesRequest{Name: c.GetName()})
	must(t, err)
	got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: profilev1.Destination_DESTINATION_RAW, Kinds: []typev1.IdentifierKind{emailKind}}, packed(t, a, c), packed(t, b))
	must(t, err)
	if len(got.GetRecords()) != 2 || got.GetNotFound() != 1 {
		t.Errorf("after one merge was taken back, by three uids %d people were exported and %d are left", len(got.GetRecords()), got.GetNotFound())
	}
}
