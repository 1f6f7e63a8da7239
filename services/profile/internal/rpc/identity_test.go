package rpc_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

const (
	emailKind  = typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL
	phoneKind  = typev1.IdentifierKind_IDENTIFIER_KIND_PHONE
	cookieKind = typev1.IdentifierKind_IDENTIFIER_KIND_COOKIE
)

func email(value string) *profilev1.Identifier {
	return &profilev1.Identifier{Kind: emailKind, Value: value}
}

// consenting is a person who has granted what advertising needs, over every channel.
func consenting(ids ...*profilev1.Identifier) *profilev1.Profile {
	return &profilev1.Profile{Identifiers: ids, Consents: []*profilev1.Consent{
		{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_ADS_PERSONALISATION, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED},
		{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_ADS_USER_DATA, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED},
	}}
}

func TestAnIdentifierLeadsToItsProfile(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{})
	ada := w.create(t, &profilev1.Profile{Identifiers: append(external("A1"), email("Ada@Example.com"))})
	grace := w.create(t, &profilev1.Profile{Identifiers: []*profilev1.Identifier{email("home@example.com")}})
	alan := w.create(t, &profilev1.Profile{Identifiers: []*profilev1.Identifier{email("HOME@example.com")}})
	resolve := func(id *profilev1.Identifier) (string, error) {
		res, err := w.ResolveIdentifier(t.Context(), &profilev1.ResolveIdentifierRequest{Identifier: id})
		return res.GetProfile(), err
	}
	for _, id := range []*profilev1.Identifier{external("A1")[0], email(" ADA@example.COM "), email("ada@example.com")} {
		if name, err := resolve(id); err != nil || name != ada.GetName() {
			t.Errorf("%v leads to %q (%v), want %q", id.GetKind(), name, err, ada.GetName())
		}
	}
	_, err := resolve(email("nobody@example.com"))
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound, "")
	_, err = resolve(email("home@example.com"))
	wantFault(t, err, fault.Precondition, profile.ReasonNotOneProfile, "")
	_, err = resolve(email("no address"))
	wantFault(t, err, fault.Invalid, profile.ReasonInvalidIdentifier, "identifier.value")

	batch, err := w.BatchResolveIdentifiers(t.Context(), &profilev1.BatchResolveIdentifiersRequest{
		Identifiers: []*profilev1.Identifier{email("home@example.com"), email("nobody@example.com"), external("A1")[0], email("home@example.com")},
	})
	must(t, err)
	both := []string{grace.GetName(), alan.GetName()}
	slices.Sort(both)
	want := [][]string{both, nil, {ada.GetName()}, both}
	for i, r := range batch.GetResults() {
		if !slices.Equal(r.GetProfiles(), want[i]) {
			t.Errorf("identifier %d leads to %v, want %v", i, r.GetProfiles(), want[i])
		}
	}
	_, err = w.BatchResolveIdentifiers(t.Context(), &profilev1.BatchResolveIdentifiersRequest{
		Identifiers: []*profilev1.Identifier{email("home@example.com"), email("@")},
	})
	wantFault(t, err, fault.Invalid, profile.ReasonInvalidIdentifier, "identifiers[1].value")
}

// export exports profiles in chunks of one and returns the answers merged.
func (w *world) export(t *testing.T, start *profilev1.ExportIdentifiersRequest_Start, chunks ...[]byte) (*profilev1.ExportIdentifiersResponse, error) {
	t.Helper()
	stream, err := w.ExportIdentifiers(t.Context())
	must(t, err)
	must(t, stream.Send(&profilev1.ExportIdentifiersRequest{Message: &profilev1.ExportIdentifiersRequest_Start_{Start: start}}))
	all := &profilev1.ExportIdentifiersResponse{}
	for _, c := range chunks {
		if err := stream.Send(&profilev1.ExportIdentifiersRequest{Message: &profilev1.ExportIdentifiersRequest_Chunk_{
			Chunk: &profilev1.ExportIdentifiersRequest_Chunk{Uids: c},
		}}); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for done := false; !done; {
			m, err := stream.Recv()
			if err != nil {
				return all, err
			}
			all.Records = append(all.Records, m.GetRecords()...)
			all.WithoutConsent += m.GetWithoutConsent()
			all.WithoutIdentifier += m.GetWithoutIdentifier()
			all.NotFound += m.GetNotFound()
			done = m.GetChunkDone()
		}
	}
	must(t, stream.CloseSend())
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return all, err
	}
	return all, nil
}

func packed(t *testing.T, profiles ...*profilev1.Profile) []byte {
	t.Helper()
	var b []byte
	for _, p := range profiles {
		uid, ok := wire.ParseProfileName(p.GetName())
		if !ok {
			t.Fatalf("%q is no name", p.GetName())
		}
		b = append(b, uid[:]...)
	}
	return b
}

func TestEachDestinationGetsItsOwnForm(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{})
	person := w.create(t, consenting(append(external("X"), email("Cloudy.SanFrancisco+shopping@googlemail.com"),
		&profilev1.Identifier{Kind: phoneKind, Value: "+1 800 555 0100"},
		&profilev1.Identifier{Kind: cookieKind, Source: "shop", Value: "c00kie"})...))
	hexOf := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	base64Of := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	dotted := "cloudy.sanfrancisco+shopping@googlemail.com"
	for to, want := range map[profilev1.Destination][]string{
		profilev1.Destination_DESTINATION_GOOGLE:   {hexOf("cloudysanfrancisco@googlemail.com"), hexOf("+18005550100")},
		profilev1.Destination_DESTINATION_META:     {hexOf(dotted), hexOf("18005550100")},
		profilev1.Destination_DESTINATION_UID2:     {base64Of(dotted), base64Of("+18005550100")},
		profilev1.Destination_DESTINATION_LINKEDIN: {hexOf(dotted)},
		profilev1.Destination_DESTINATION_RAW:      {"X", dotted, "+18005550100", "c00kie"},
	} {
		got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: to}, packed(t, person))
		must(t, err)
		var values []string
		for _, r := range got.GetRecords() {
			for _, id := range r.GetIdentifiers() {
				values = append(values, id.GetValue())
			}
		}
		if !slices.Equal(values, want) {
			t.Errorf("%v gets %q, want %q", to, values, want)
		}
	}
	got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{
		Destination: profilev1.Destination_DESTINATION_GOOGLE, Kinds: []typev1.IdentifierKind{phoneKind},
	}, packed(t, person))
	must(t, err)
	if n := len(got.GetRecords()[0].GetIdentifiers()); n != 1 || got.GetRecords()[0].GetIdentifiers()[0].GetKind() != phoneKind {
		t.Errorf("asked for phone numbers alone, %d identifiers came", n)
	}
	_, err = w.export(t, &profilev1.ExportIdentifiersRequest_Start{
		Destination: profilev1.Destination_DESTINATION_LINKEDIN, Kinds: []typev1.IdentifierKind{phoneKind},
	}, packed(t, person))
	wantFault(t, err, fault.Invalid, profile.ReasonValidationFailed, "start.kinds[0]")
}

func TestWhoHasNotConsentedIsNotExported(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := inProcess(t, rpc.Options{Now: func() time.Time { return now }})
	change := func(p *profilev1.Profile, with func(p *profilev1.Profile)) *profilev1.Profile {
		with(p)
		return w.create(t, p)
	}
	granted := func(purpose typev1.ConsentPurpose, channel typev1.Channel, status typev1.ConsentStatus) *profilev1.Consent {
		return &profilev1.Consent{Purpose: purpose, Channel: channel, Status: status}
	}
	keep := func(*profilev1.Profile) {}
	full := change(consenting(email("full@example.com")), keep)
	half := change(consenting(email("half@example.com")), func(p *profilev1.Profile) { p.Consents = p.Consents[:1] })
	none := change(&profilev1.Profile{Identifiers: []*profilev1.Identifier{email("none@example.com")}}, keep)
	expired := change(consenting(email("expired@example.com")), func(p *profilev1.Profile) {
		p.Consents[0].ExpireDate = &date.Date{Year: 2026, Month: 3, Day: 1}
	})
	lasting := change(consenting(email("lasting@example.com")), func(p *profilev1.Profile) {
		p.Consents[0].ExpireDate = &date.Date{Year: 2026, Month: 3, Day: 2}
	})
	noEmail := change(consenting(email("split@example.com"), &profilev1.Identifier{Kind: phoneKind, Value: "+18005550101"}), func(p *profilev1.Profile) {
		p.Consents = append(p.Consents, granted(typev1.ConsentPurpose_CONSENT_PURPOSE_ADS_USER_DATA, typev1.Channel_CHANNEL_EMAIL, typev1.ConsentStatus_CONSENT_STATUS_WITHDRAWN))
	})
	nothing := change(consenting(), keep)
	gone := change(consenting(email("gone@example.com")), keep)
	_, err := w.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: gone.GetName()})
	must(t, err)
	all := packed(t, full, half, none, expired, lasting, noEmail, nothing, gone)

	got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: profilev1.Destination_DESTINATION_META}, all[:48], all[48:])
	must(t, err)
	var exported []byte
	for _, r := range got.GetRecords() {
		exported = append(exported, r.GetUid()...)
		if slices.Equal(r.GetUid(), packed(t, noEmail)) && (len(r.GetIdentifiers()) != 1 || r.GetIdentifiers()[0].GetKind() != phoneKind) {
			t.Error("an address was exported for which consent was withdrawn")
		}
	}
	if want := packed(t, full, lasting, noEmail); !slices.Equal(exported, want) {
		t.Errorf("exported were %x, want %x", exported, want)
	}
	if got.GetWithoutConsent() != 3 || got.GetWithoutIdentifier() != 1 || got.GetNotFound() != 1 {
		t.Errorf("without consent %d, without identifier %d, not found %d; want 3, 1, 1", got.GetWithoutConsent(), got.GetWithoutIdentifier(), got.GetNotFound())
	}
}

func TestAnExportFollowsItsProtocol(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{})
	_, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{}, make([]byte, 16))
	wantFault(t, err, fault.Invalid, profile.ReasonValidationFailed, "start.destination")
	for _, size := range []int{0, 17, 16 * 4097} {
		_, err = w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: profilev1.Destination_DESTINATION_RAW}, make([]byte, size))
		wantFault(t, err, fault.Invalid, profile.ReasonExportProtocol, "")
	}
	got, err := w.export(t, &profilev1.ExportIdentifiersRequest_Start{Destination: profilev1.Destination_DESTINATION_RAW}, make([]byte, 16*4096))
	if err != nil || got.GetNotFound() != 4096 {
		t.Errorf("of the most uids there may be %d are nobody's (%v)", got.GetNotFound(), err)
	}
	stream, err := w.ExportIdentifiers(t.Context())
	must(t, err)
	must(t, stream.CloseSend())
	_, err = stream.Recv()
	wantFault(t, err, fault.Invalid, profile.ReasonExportProtocol, "")
}

func TestWarningsComeWithAnswersAndChangeNothing(t *testing.T) {
	t.Parallel()
	w := inProcess(t, rpc.Options{})
	odd := &profilev1.Profile{BirthDate: &date.Date{Year: 1893}}
	made := w.create(t, proto.CloneOf(odd))
	read, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: made.GetName()})
	must(t, err)
	upserted, err := w.BatchUpsertProfiles(t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{proto.CloneOf(odd), {}}})
	must(t, err)
	for i, got := range [][]*profilev1.Warning{made.GetWarnings(), read.GetWarnings(), upserted.GetResults()[0].GetWarnings()} {
		if len(got) != 1 || got[0].GetField() != "birth_date" || got[0].GetCode() != profile.WarnTooOld || strings.Contains(got[0].GetMessage(), "1893") {
			t.Errorf("answer %d warns of %v", i, got)
		}
	}
	if read.GetBirthDate().GetYear() != 1893 || len(upserted.GetResults()[1].GetWarnings()) != 0 {
		t.Errorf("a value was changed, or a plain profile warned of: %v", read.GetBirthDate())
	}
	stream, _ := w.start(t.Context(), t, "odd")
	must(t, stream.Send(chunk(0, proto.CloneOf(odd), &profilev1.Profile{}, proto.CloneOf(odd), &profilev1.Profile{BirthDate: &date.Date{Year: 1893}, Region: proto.String("XX")})))
	must(t, stream.CloseSend())
	counts := map[string]int64{}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		for code, n := range m.GetWarnings() {
			counts[code] += n
		}
	}
	if len(counts) != 1 || counts[profile.WarnTooOld] != 2 {
		t.Errorf("the import warned %v, want two of %s: a refused row is not warned of", counts, profile.WarnTooOld)
	}
}
