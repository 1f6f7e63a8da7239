package cli

import (
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/eventfile"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

type eventCommands struct {
	Record eventRecord `cmd:"" help:"Record one event."`
	Import eventImport `cmd:"" help:"Record the events of a file: separated values (CSV), or one Event in JSON a line."`
	List   eventList   `cmd:"" help:"List the events of a profile, the newest first."`
	Delete eventDelete `cmd:"" help:"Delete an event that should not have been recorded."`
}

// zoneFlag says in which zone times are that state none.
type zoneFlag struct {
	TimeZone string `help:"Time zone (IANA) of times that state none." default:"UTC" placeholder:"ZONE"`
}

func (z zoneFlag) location() (*time.Location, error) {
	zone, err := time.LoadLocation(z.TimeZone)
	if err != nil || z.TimeZone == "" || z.TimeZone == "Local" {
		return nil, usage("--time-zone: give an IANA name such as Europe/Paris")
	}
	return zone, nil
}

type eventRecord struct {
	ID         string            `arg:"" help:"Id, unique among all events: the same id again is the same event and counts once."`
	Kind       string            `required:"" help:"purchase, visit, open, click, response, complaint, survey, or an own kind."`
	Profile    string            `help:"Whose event it is: name or uid of the profile."`
	Identifier string            `help:"Whose event it is: an identifier that one profile has, such as email=ada@example.com." placeholder:"KIND=VALUE"`
	Source     string            `help:"System that the identifier comes from; an external id needs it."`
	Time       string            `help:"When it happened, such as 2026-01-31T18:30:00Z or 2026-01-31 18:30; none: now." placeholder:"TIME"`
	Amount     string            `help:"What a purchase cost, with its currency, such as EUR:12.50." placeholder:"CUR:AMOUNT"`
	Order      string            `help:"Order or basket that a purchase is a line of."`
	Brand      string            `help:"Brand bought, or that the event is about."`
	Category   string            `help:"Category bought, or that the event is about."`
	Channel    string            `help:"email, sms, phone, post, push, messaging, web or in_person."`
	Score      string            `help:"Score of a survey answer, 0 to 10 with at most two digits after the point."`
	Campaign   string            `help:"Campaign that it belongs to."`
	Detail     map[string]string `help:"Further details; kept and not computed with." mapsep:"none" placeholder:"KEY=VALUE"`
	zoneFlag
	writing
}

// event is the event that the flags state.
func (c *eventRecord) event(now time.Time) (*profilev1.Event, error) {
	zone, err := c.location()
	if err != nil {
		return nil, err
	}
	wrong := &fault.Violations{}
	e := &profilev1.Event{
		EventId: c.ID, Kind: c.Kind, EventTime: timestamppb.New(now), Amount: moneyOf(wrong, "amount", c.Amount), Order: c.Order, Brand: c.Brand,
		Category: c.Category, Channel: enum(wrong, "channel", reasonUnknownValue, wire.Channels, audience.Channels, c.Channel), Score: c.Score,
		Campaign: resource("campaigns", c.Campaign), Details: c.Detail,
	}
	switch {
	case (c.Profile == "") == (c.Identifier == ""):
		return nil, usage("say whose event it is, with either --profile or --identifier")
	case c.Profile != "":
		e.Whose = &profilev1.Event_Profile{Profile: resource("profiles", c.Profile)}
	default:
		e.Whose = &profilev1.Event_Identifier{Identifier: identifierOf(wrong, "identifier", c.Identifier, c.Source)}
	}
	if c.Time != "" {
		t, ok := eventfile.ParseTime(c.Time, zone)
		if !ok {
			wrong.Add("event_time", reasonInvalidDate, fmt.Sprintf("%q is not a time such as 2026-01-31T18:30:00Z, 2026-01-31 18:30 or 2026-01-31", c.Time))
		}
		e.EventTime = timestamppb.New(t)
	}
	return e, wrong.Err()
}

func (c *eventRecord) run(s *session) error {
	e, err := c.event(s.env.Now())
	if err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	answer, err := s.client.Events.RecordEvents(ctx, &profilev1.RecordEventsRequest{Events: []*profilev1.Event{e}})
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	what := "is recorded"
	if answer.GetResults()[0].GetDuplicate() {
		what = "was there already; nothing was changed"
	}
	return s.print("%s %s\n", answer.GetResults()[0].GetName(), what)
}

type eventImport struct {
	File           string            `arg:"" help:"File of separated values with a header, or of one Event in JSON a line; gzip is unpacked."`
	Format         string            `help:"csv or jsonl; none: jsonl for names that end in .jsonl or .ndjson, else csv." enum:",csv,jsonl" default:""`
	Separator      string            `help:"Character between values; tab is a tabulator." default:","`
	Column         map[string]string `help:"Column that a field is read from, where it has another name, such as time=transaction_timestamp. Fields: event_id, profile, or identifier with identifier_kind and identifier_source, kind, time, amount, currency, order, brand, category, channel, score, campaign, details.KEY." mapsep:"none" placeholder:"FIELD=COLUMN"`
	Set            map[string]string `help:"Value of a field for all rows, such as kind=purchase." mapsep:"none" placeholder:"FIELD=VALUE"`
	IgnoreOther    bool              `help:"Leave out columns that stand for no field, rather than refusing the file."`
	IDPrefix       string            `name:"id-prefix" help:"Makes ids for a file that has none: this, a colon and the number of the row. Rows must stay where they are if the file grows." placeholder:"TEXT"`
	CreateProfiles bool              `help:"Make a profile for an external id that nobody has, rather than rejecting its event."`
	ImportID       string            `help:"Id of the import: the same id goes on where it stopped. None: made from the contents of the file and these flags."`
	Reject         string            `help:"File (CSV) to write refused rows to, with line and reason." placeholder:"FILE"`
	RejectRows     bool              `help:"Write the refused rows themselves to the reject file too."`
	DryRun         bool              `help:"Read only; nothing is sent."`
	zoneFlag
	writing
}

// options say how the file is read.
func (c *eventImport) options() (eventfile.Options, error) {
	zone, err := c.location()
	if err != nil {
		return eventfile.Options{}, err
	}
	o := eventfile.Options{Columns: c.Column, Values: c.Set, Rest: c.IgnoreOther, IDPrefix: c.IDPrefix, Zone: zone, Lines: c.Format == "jsonl"}
	if c.Format == "" {
		ending := filepath.Ext(strings.TrimSuffix(c.File, ".gz"))
		o.Lines = ending == ".jsonl" || ending == ".ndjson"
	}
	if o.Lines && (len(c.Column) > 0 || len(c.Set) > 0 || c.IgnoreOther || c.IDPrefix != "") {
		return o, usage("a file of JSON has no columns: --column, --set, --ignore-other and --id-prefix are for separated values")
	}
	separator := strings.ReplaceAll(c.Separator, "tab", "\t")
	if utf8.RuneCountInString(separator) != 1 {
		return o, usage("--separator: give one character, or tab")
	}
	o.Separator, _ = utf8.DecodeRuneInString(separator)
	return o, nil
}

func (c *eventImport) run(s *session) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	by, err := json.Marshal([]any{options.Columns, options.Values, options.Lines, options.IDPrefix, c.TimeZone, c.CreateProfiles})
	if err != nil {
		return fmt.Errorf("make the import id: %w", err)
	}
	opened, size, id, err := openImport(c.File, c.ImportID, by)
	if err != nil {
		return err
	}
	defer opened.Close() // only read: there is nothing to lose
	counted := &countingReader{r: opened}
	rows, err := eventfile.Open(counted, options)
	if err != nil {
		return err
	}
	file := &carry[*profilev1.Event]{
		what: "import events", id: id, file: counted, size: size, reject: c.Reject, rows: c.RejectRows, dryRun: c.DryRun, writing: c.writing,
		next: func() (mapping.Row, *profilev1.Event, error) {
			row, err := rows.Next()
			return mapping.Row{Line: row.Line, Problems: row.Problems, Raw: row.Raw}, row.Event, err
		},
		upload: func(rows iter.Seq2[upload.Item[*profilev1.Event], error], o upload.Options) (upload.Result, error) {
			o.CreateProfiles = c.CreateProfiles
			return upload.RunEvents(s.ctx, s.client.Events, rows, o)
		},
	}
	result, refused, err := file.run(s)
	if err != nil {
		return err
	}
	return c.report(s, id, result, refused)
}

func (c *eventImport) report(s *session, id string, r upload.Result, refused int64) error {
	if s.json() {
		return s.printJSON(map[string]any{
			"import_id": id, "committed_through": r.Committed, "recorded": r.Recorded, "duplicates": r.Duplicates,
			"rejected_by_service": r.Rejected, "rejected_by_file": refused, "resumed_from": r.Resumed, "consistency_token": r.Token, "dry_run": c.DryRun,
		})
	}
	if c.DryRun {
		return s.print("%s rows can be imported, %s cannot; nothing was sent\n", table.Int(r.Committed), table.Int(refused))
	}
	if r.Resumed > 0 {
		if err := s.print("went on behind row %s of the same import\n", table.Int(r.Resumed)); err != nil {
			return err
		}
	}
	if err := s.print("%s events recorded, %s were there already, %s rows rejected\n",
		table.Int(r.Recorded), table.Int(r.Duplicates), table.Int(r.Rejected+refused)); err != nil {
		return err
	}
	if r.Rejected+refused > 0 && c.Reject == "" {
		s.note("  next  --reject=FILE writes the rejected rows with line and reason\n")
	}
	return s.facts("import id", id, "token", r.Token)
}

type eventList struct {
	Profile string `arg:"" help:"The profile: its name or uid."`
	paging
}

func (c *eventList) run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	page, err := s.client.Events.ListEvents(ctx, &profilev1.ListEventsRequest{
		Parent: resource("profiles", c.Profile), PageSize: c.Limit, PageToken: c.PageToken,
	})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(page)
	}
	t := table.New("event", "time", "kind", ">amount", "order", "brand", "category", "channel", ">score", "campaign")
	for _, e := range page.GetEvents() {
		t.Row(e.GetEventId(), e.GetEventTime().AsTime().Format(time.RFC3339), e.GetKind(), money(e.GetAmount()), e.GetOrder(), e.GetBrand(), e.GetCategory(),
			wire.Channels.Text(e.GetChannel()), e.GetScore(), short(e.GetCampaign()))
	}
	if err := s.table(t); err != nil {
		return err
	}
	s.more(page.GetNextPageToken())
	return nil
}

type eventDelete struct {
	Name  string `arg:"" help:"Name of the event, profiles/UID/events/ID; or its profile, with the id behind it."`
	Event string `arg:"" optional:"" help:"Id of the event."`
	writing
}

func (c *eventDelete) run(s *session) error {
	name := resource("profiles", c.Name)
	if c.Event != "" {
		name += "/events/" + c.Event
	}
	if !strings.Contains(name, "/events/") {
		return usage("give the name of the event, profiles/UID/events/ID, or the profile and the event's id")
	}
	ctx, cancel := s.call()
	defer cancel()
	answer, err := s.client.Events.DeleteEvent(ctx, &profilev1.DeleteEventRequest{Name: name})
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}
