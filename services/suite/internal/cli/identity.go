package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/delimited"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

// identifierOf reads an identifier that is written KIND=VALUE; what is wrong with it is at path. The value is personal: no message repeats it.
func identifierOf(wrong *fault.Violations, path, text, source string) *profilev1.Identifier {
	kind, value, _ := strings.Cut(text, "=")
	id := &profilev1.Identifier{Kind: wire.IdentifierKinds.Value(strings.ToLower(kind)), Source: source, Value: value}
	if id.Kind == 0 || value == "" {
		wrong.Add(path, reasonUnknownValue, "an identifier is written KIND=VALUE, such as email=ada@example.com; the kinds are "+strings.Join(identity.Kinds, ", "))
	}
	return id
}

type profileResolve struct {
	Identifier []string `arg:"" optional:"" help:"Identifiers in any spelling: KIND=VALUE, such as email=ada@example.com. The kinds are external_id, email, phone, mobile_ad_id, cookie, device_id, uid2."`
	Source     string   `help:"System that the identifiers come from; an external id needs it."`
	File       string   `help:"File (CSV) with the columns kind, source and value instead, - for standard input: keeps identifiers out of the list of processes." placeholder:"FILE"`
}

// resolveBatch is how many identifiers one call asks for.
const resolveBatch = 1000

func (c *profileResolve) run(s *session) error {
	var ids []*profilev1.Identifier
	var err error
	switch {
	case c.File != "" && len(c.Identifier) > 0 || c.File == "" && len(c.Identifier) == 0:
		return usage("give identifiers, or --file")
	case c.File != "":
		if ids, err = s.identifiers(c.File); err != nil {
			return err
		}
	default:
		wrong := &fault.Violations{}
		for i, text := range c.Identifier {
			ids = append(ids, identifierOf(wrong, fault.Index("identifiers", i), text, c.Source))
		}
		if err := wrong.Err(); err != nil {
			return err
		}
	}
	if len(ids) == 1 && c.File == "" {
		ctx, cancel := s.call()
		defer cancel()
		answer, err := s.client.Identity.ResolveIdentifier(ctx, &profilev1.ResolveIdentifierRequest{Identifier: ids[0]})
		if err != nil {
			return err
		}
		if s.json() {
			return s.message(answer)
		}
		return s.print("%s\n", answer.GetProfile())
	}
	all := &profilev1.BatchResolveIdentifiersResponse{}
	for some := range slices.Chunk(ids, resolveBatch) {
		ctx, cancel := s.call()
		answer, err := s.client.Identity.BatchResolveIdentifiers(ctx, &profilev1.BatchResolveIdentifiersRequest{Identifiers: some})
		cancel()
		if err != nil {
			return err
		}
		all.Results = append(all.Results, answer.GetResults()...)
	}
	if s.json() {
		return s.message(all)
	}
	t := table.New(">number", "kind", "profiles")
	for i, r := range all.GetResults() {
		t.Row(strconv.Itoa(i+1), wire.IdentifierKinds.Text(ids[i].GetKind()), strings.Join(r.GetProfiles(), " "))
	}
	return s.table(t)
}

// identifiers reads a file of identifiers.
func (s *session) identifiers(name string) ([]*profilev1.Identifier, error) {
	file, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read: there is nothing to lose
	text, err := delimited.Text(file, "")
	if err != nil {
		return nil, usage("%s: %v", name, err)
	}
	reader, err := delimited.NewReader(text, delimited.Options{Quote: '"'})
	if err != nil {
		return nil, err
	}
	head, err := reader.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	at := map[string]int{"kind": -1, "source": -1, "value": -1}
	for i, title := range head.Fields {
		if _, known := at[title]; !known {
			return nil, usage("%s: column %d is none of kind, source and value", name, i+1)
		}
		at[title] = i
	}
	if at["kind"] < 0 || at["value"] < 0 {
		return nil, usage("%s: the first line must name the columns kind and value, and source where the identifiers have one", name)
	}
	columns := len(head.Fields)
	var ids []*profilev1.Identifier
	for {
		rec, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return ids, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if len(rec.Fields) != columns {
			return nil, usage("%s, line %d: %d fields, and %d columns", name, rec.Line, len(rec.Fields), columns)
		}
		id := &profilev1.Identifier{Kind: wire.IdentifierKinds.Value(strings.ToLower(rec.Fields[at["kind"]])), Value: rec.Fields[at["value"]]}
		if at["source"] >= 0 {
			id.Source = rec.Fields[at["source"]]
		}
		if id.Kind == 0 {
			return nil, usage("%s, line %d: the kind is none of %s", name, rec.Line, strings.Join(identity.Kinds, ", "))
		}
		ids = append(ids, id)
	}
}

// open opens a file, - for standard input.
func (s *session) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(s.env.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	return file, nil
}

type profileMerge struct {
	Name       string `arg:"" help:"The profile that remains."`
	Merged     string `arg:"" help:"The profile that goes; its name leads to the other one from then on."`
	Policy     string `help:"Which of two values that differ stays: most-recent, or most-trusted by the order of sources that the service has." enum:"most-recent,most-trusted" default:"most-recent"`
	Etag       string `help:"Merge only if the profile that remains still has this etag."`
	MergedEtag string `help:"Merge only if the profile that goes still has this etag."`
	writing
}

func (c *profileMerge) run(s *session) error {
	req := &profilev1.MergeProfilesRequest{
		Name: resource("profiles", c.Name), Merged: resource("profiles", c.Merged), Etag: c.Etag, MergedEtag: c.MergedEtag,
		Policy: profilev1.MergeProfilesRequest_POLICY_MOST_RECENT,
	}
	if c.Policy == "most-trusted" {
		req.Policy = profilev1.MergeProfilesRequest_POLICY_MOST_TRUSTED
	}
	ctx, cancel := s.call()
	defer cancel()
	answer, err := s.client.Identity.MergeProfiles(ctx, req)
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetProfile().GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	if err := s.showProfile(answer.GetProfile()); err != nil {
		return err
	}
	s.note("until %s the merge can be undone: narrowcast profile unmerge %s\n", answer.GetUndoExpireTime().AsTime().Format(time.RFC3339), req.GetMerged())
	return nil
}

type profileUnmerge struct {
	Name string `arg:"" help:"The profile that was merged into another one."`
	writing
}

func (c *profileUnmerge) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	answer, err := s.client.Identity.UnmergeProfiles(ctx, &profilev1.UnmergeProfilesRequest{Name: resource("profiles", c.Name)})
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetProfile().GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	return s.profileTable([]*profilev1.Profile{answer.GetProfile(), answer.GetRemaining()})
}

type profileExport struct {
	File  string        `arg:"" optional:"" help:"File with a name or uid of a profile on each line, as audience members prints them; - for standard input." default:"-"`
	To    string        `required:"" enum:"google,meta,uid2,linkedin,the_trade_desk,raw" help:"Who takes the identifiers: google, meta, uid2, linkedin, the_trade_desk, or raw: as they are kept, not hashed."`
	Kind  []string      `help:"Kinds to hand out; none: all that the destination takes."`
	Token config.Secret `name:"export-token" help:"Token that the services want for exports (up --export-token)." env:"NARROWCAST_EXPORT_TOKEN" placeholder:"TOKEN"`
}

// exportChunk is how many profiles one message asks for.
const exportChunk = 4096

func (c *profileExport) run(s *session) error {
	start := &profilev1.ExportIdentifiersRequest_Start{
		Destination: profilev1.Destination(profilev1.Destination_value["DESTINATION_"+strings.ToUpper(c.To)]),
	}
	wrong := &fault.Violations{}
	start.Kinds = enums(wrong, "start.kinds", reasonUnknownValue, wire.IdentifierKinds, identity.Kinds, c.Kind)
	if err := wrong.Err(); err != nil {
		return err
	}
	file, err := s.open(c.File)
	if err != nil {
		return err
	}
	defer file.Close() // only read: there is nothing to lose
	ctx := s.ctx
	if !c.Token.IsZero() {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.Token.Reveal())
	}
	stream, err := s.client.Identity.ExportIdentifiers(ctx)
	if err != nil {
		return err
	}
	e := &exporting{stream: stream, out: newExported(s)}
	if err := e.send(&profilev1.ExportIdentifiersRequest{Message: &profilev1.ExportIdentifiersRequest_Start_{Start: start}}); err != nil {
		return err
	}
	if err := e.all(c.File, file); err != nil {
		return err
	}
	if err := e.out.end(); err != nil {
		return err
	}
	s.note("%s people exported, %s without consent, %s without an identifier, %s not there or the same people again\n",
		table.Int(e.out.people), table.Int(e.out.withoutConsent), table.Int(e.out.withoutIdentifier), table.Int(e.out.notFound))
	return nil
}

// exporting is an export under way.
type exporting struct {
	stream grpc.BidiStreamingClient[profilev1.ExportIdentifiersRequest, profilev1.ExportIdentifiersResponse]
	out    *exported
}

// send sends a message; why a stream has ended is told where it is received from.
func (e *exporting) send(m *profilev1.ExportIdentifiersRequest) error {
	if err := e.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// all exports the profiles of a file, so many at a time. Memory does not grow with the file.
func (e *exporting) all(name string, file io.Reader) error {
	lines := bufio.NewScanner(file)
	var packed []byte
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		uid, ok := wire.ParseProfileName(resource("profiles", text))
		if !ok {
			return usage("%s, line %d: give a name such as profiles/0198a000-0000-7000-8000-000000000001, or its uid", name, n)
		}
		if packed = append(packed, uid[:]...); len(packed) == exportChunk*len(uid) {
			if err := e.chunk(packed); err != nil {
				return err
			}
			packed = packed[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(packed) > 0 {
		if err := e.chunk(packed); err != nil {
			return err
		}
	}
	if err := e.stream.CloseSend(); err != nil {
		return err
	}
	if _, err := e.stream.Recv(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (e *exporting) chunk(packed []byte) error {
	err := e.send(&profilev1.ExportIdentifiersRequest{Message: &profilev1.ExportIdentifiersRequest_Chunk_{
		Chunk: &profilev1.ExportIdentifiersRequest_Chunk{Uids: packed},
	}})
	if err != nil {
		return err
	}
	for {
		m, err := e.stream.Recv()
		if errors.Is(err, io.EOF) {
			return fault.New(fault.Unavailable, "EXPORT_INCOMPLETE", "the service ended the export before its end; run it again")
		}
		if err != nil {
			return err
		}
		if err := e.out.take(m); err != nil || m.GetChunkDone() {
			return err
		}
	}
}

// exported writes what comes: a line for each identifier, or JSON.
type exported struct {
	s                                           *session
	buf                                         *bufio.Writer
	csv                                         *csv.Writer
	people                                      int64
	withoutConsent, withoutIdentifier, notFound int64
}

// exportedJSON is a person as programs read one.
type exportedJSON struct {
	Profile     string         `json:"profile"`
	Identifiers []identifiedAs `json:"identifiers"`
}

type identifiedAs struct {
	Kind   string `json:"kind"`
	Source string `json:"source,omitempty"`
	Value  string `json:"value"`
}

func newExported(s *session) *exported {
	e := &exported{s: s, buf: bufio.NewWriter(s.env.Stdout)}
	e.csv = csv.NewWriter(e.buf)
	return e
}

// take writes the people of a message. Nothing is written before the first answer: an export that is refused leaves no header.
func (e *exported) take(m *profilev1.ExportIdentifiersResponse) error {
	e.withoutConsent += m.GetWithoutConsent()
	e.withoutIdentifier += m.GetWithoutIdentifier()
	e.notFound += m.GetNotFound()
	for _, r := range m.GetRecords() {
		if len(r.GetUid()) != len(audience.UID{}) {
			return fault.New(fault.Internal, "INTERNAL", "the service exported a uid of another length than 16 bytes")
		}
		one := exportedJSON{Profile: wire.ProfileName(audience.UID(r.GetUid()))}
		for _, id := range r.GetIdentifiers() {
			one.Identifiers = append(one.Identifiers, identifiedAs{wire.IdentifierKinds.Text(id.GetKind()), id.GetSource(), id.GetValue()})
		}
		if err := e.write(one); err != nil {
			return err
		}
		e.people++
	}
	return nil
}

func (e *exported) write(one exportedJSON) error {
	if e.s.json() {
		text, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		before := ",\n    "
		if e.people == 0 {
			before = "{\n  \"records\": [\n    "
		}
		_, err = fmt.Fprintf(e.buf, "%s%s", before, text)
		return err
	}
	if e.people == 0 {
		if err := e.header(); err != nil {
			return err
		}
	}
	for _, id := range one.Identifiers {
		if err := e.csv.Write([]string{one.Profile, id.Kind, id.Source, id.Value}); err != nil {
			return err
		}
	}
	return nil
}

func (e *exported) header() error { return e.csv.Write([]string{"profile", "kind", "source", "value"}) }

// end writes what follows the last person.
func (e *exported) end() error {
	switch {
	case e.s.json():
		if e.people == 0 {
			fmt.Fprint(e.buf, "{\n  \"records\": [")
		}
		fmt.Fprintf(e.buf, "\n  ],\n  \"without_consent\": \"%d\",\n  \"without_identifier\": \"%d\",\n  \"not_found\": \"%d\"\n}\n", e.withoutConsent, e.withoutIdentifier, e.notFound)
	case e.people == 0:
		if err := e.header(); err != nil {
			return err
		}
	}
	e.csv.Flush()
	return errors.Join(e.csv.Error(), e.buf.Flush())
}

// behaviour are the lines about what a person did.
func behaviour(t *profilev1.Traits) (pairs []string) {
	if t == nil {
		return nil
	}
	often := func(a *profilev1.Activity) string {
		if a.GetCount() == 0 {
			return ""
		}
		return fmt.Sprintf("%s, last on %s; %d in 30 days, %d in 90, %d in 365", table.Int(a.GetCount()), calendar(a.GetLastDate()), a.GetCount_30D(), a.GetCount_90D(), a.GetCount_365D())
	}
	p := t.GetPurchases()
	pairs = append(pairs, "purchases", often(p.GetActivity()))
	if p.GetActivity().GetCount() > 0 {
		pairs = append(pairs, "bought for", fmt.Sprintf("%s; %s in 365 days", money(p.GetSum()), money(p.GetSum_365D())), "average basket", money(p.GetAverageBasket()),
			"favourites", strings.Join(nonEmpty(wire.Channels.Text(p.GetFavouriteChannel()), p.GetFavouriteBrand(), p.GetFavouriteCategory()), ", "), "loyalty", p.GetLoyalty())
	}
	for _, a := range []struct {
		name string
		of   *profilev1.Activity
	}{
		{"visits", t.GetVisits()}, {"opens", t.GetOpens()}, {"clicks", t.GetClicks()}, {"responses", t.GetResponses()}, {"complaints", t.GetComplaints()}, {"surveys", t.GetSurveys()},
	} {
		pairs = append(pairs, a.name, often(a.of))
	}
	pairs = append(pairs, "satisfaction", t.GetSatisfaction())
	for _, kind := range slices.Sorted(maps.Keys(t.GetOwn())) {
		pairs = append(pairs, kind, often(t.GetOwn()[kind]))
	}
	return pairs
}
