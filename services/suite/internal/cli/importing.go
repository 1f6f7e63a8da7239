package cli

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

type importCommand struct {
	File       string `arg:"" help:"File of separated values; gzip is unpacked."`
	Mapping    string `required:"" short:"m" help:"Mapping file (YAML): what the columns mean." placeholder:"FILE"`
	ImportID   string `help:"Id of the import: the same id goes on where it stopped. None: made from the contents of both files."`
	Reject     string `help:"File (CSV) to write refused rows to, with line and reason." placeholder:"FILE"`
	RejectRows bool   `help:"Write the refused rows themselves to the reject file too."`
	Source     string `help:"System that the rows come from, such as crm: a merge can prefer the more trusted of two."`
	Declare    bool   `help:"Declare the attributes of the mapping that are not declared yet." default:"true" negatable:""`
	DryRun     bool   `help:"Read and map only; nothing is sent or declared."`
	writing
}

func (c *importCommand) run(s *session) error {
	text, err := readFile(c.Mapping, s.env.Stdin)
	if err != nil {
		return err
	}
	m, err := mapping.Parse(text)
	if err != nil {
		return err
	}
	opened, size, id, err := openImport(c.File, c.ImportID, text)
	if err != nil {
		return err
	}
	defer opened.Close() // only read: there is nothing to lose
	known, err := c.schema(s, m)
	if err != nil {
		return err
	}
	counted := &countingReader{r: opened}
	rows, err := m.Open(counted, known)
	if err != nil {
		return err
	}
	file := &carry[*profilev1.Profile]{
		what: "import", id: id, file: counted, size: size, reject: c.Reject, rows: c.RejectRows, dryRun: c.DryRun, writing: c.writing,
		next: func() (mapping.Row, *profilev1.Profile, error) {
			row, err := rows.Next()
			return row, row.Profile, err
		},
		upload: func(rows iter.Seq2[upload.Item[*profilev1.Profile], error], o upload.Options) (upload.Result, error) {
			o.Source = c.Source
			return upload.Run(s.ctx, s.client.Profiles, rows, o)
		},
	}
	result, refused, err := file.run(s)
	if err != nil {
		return err
	}
	return c.report(s, id, result, refused, titlesOf(m, rows))
}

// openImport opens a file to import, and returns its size and the id of the import: the one that was given, or one that is the same for the
// same file and what it is read by.
func openImport(name, id string, by []byte) (file *os.File, size int64, _ string, err error) {
	if file, err = os.Open(name); err != nil {
		return nil, 0, "", usage("%v", err)
	}
	if info, err := file.Stat(); err == nil {
		size = info.Size()
	}
	if id == "" {
		if id, err = contentID(file, by); err != nil {
			return nil, 0, "", errors.Join(err, file.Close())
		}
	}
	return file, size, id, nil
}

// contentID is an import id that is the same for the same file and mapping.
func contentID(file *os.File, mapping []byte) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("read the file: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", usage("the file cannot be read twice, so state an --import-id: %v", err)
	}
	h.Write(mapping)
	return "file-" + hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// schema declares what the mapping declares and returns all declared attributes.
func (c *importCommand) schema(s *session, m *mapping.Mapping) ([]*profilev1.Attribute, error) {
	if c.DryRun && len(m.Wanted()) == 0 {
		return m.Attributes, nil
	}
	known, err := s.attributes()
	if err != nil {
		return nil, err
	}
	if !c.Declare || c.DryRun {
		return known, nil
	}
	return s.declare(m.Attributes, known)
}

// declare declares attributes that are not there yet. One that is there and differs in what cannot change is refused; values
// that are not allowed yet are added.
func (s *session) declare(wanted, known []*profilev1.Attribute) ([]*profilev1.Attribute, error) {
	byName := map[string]*profilev1.Attribute{}
	for _, a := range known {
		byName[a.GetName()] = a
	}
	wrong := &fault.Violations{}
	var create, widen []*profilev1.Attribute
	for _, a := range wanted {
		have := byName[a.GetName()]
		path := "attributes." + short(a.GetName())
		switch {
		case have == nil:
			create = append(create, a)
		case have.GetType() != a.GetType():
			wrong.Add(path+".type", "ATTRIBUTE_IMMUTABLE", "the attribute is declared as "+mapping.AttributeTypeName(have.GetType())+" already; choose another id")
		case have.GetScale() != a.GetScale():
			wrong.Add(path+".scale", "ATTRIBUTE_IMMUTABLE", "the attribute is declared with scale "+strconv.Itoa(int(have.GetScale()))+" already; choose another id")
		case len(have.GetAllowedValues()) > 0 && len(a.GetAllowedValues()) == 0:
			wrong.Add(path+".allowed_values", "ATTRIBUTE_IMMUTABLE", "the attribute is limited to a list of values already; choose another id, or list the values here too")
		case len(have.GetAllowedValues()) > 0 && len(union(have.GetAllowedValues(), a.GetAllowedValues())) > len(have.GetAllowedValues()):
			a = proto.CloneOf(a)
			a.Etag, a.AllowedValues = have.GetEtag(), union(have.GetAllowedValues(), a.GetAllowedValues())
			widen = append(widen, a)
		}
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	for _, a := range create {
		ctx, cancel := s.call()
		_, err := s.client.Attributes.CreateAttribute(ctx, &profilev1.CreateAttributeRequest{AttributeId: short(a.GetName()), Attribute: a})
		cancel()
		if err != nil && fault.ReasonOf(err) != "ATTRIBUTE_EXISTS" { // another import declared it a moment ago
			return nil, fmt.Errorf("declare attribute %s: %w", short(a.GetName()), err)
		}
	}
	for _, a := range widen {
		ctx, cancel := s.call()
		_, err := s.client.Attributes.UpdateAttribute(ctx, &profilev1.UpdateAttributeRequest{Attribute: a, UpdateMask: masked("allowed_values", true)})
		cancel()
		if err != nil {
			return nil, fmt.Errorf("allow values of attribute %s: %w", short(a.GetName()), err)
		}
	}
	return s.attributes()
}

// away waits before a service that does not answer is asked again.
func (s *session) away(ctx context.Context, d time.Duration) error {
	s.note("the profile service is away; trying again\n")
	return upload.Pause(ctx, d)
}

// titlesOf is what the job titles of the file said; nil if the mapping reads none.
func titlesOf(m *mapping.Mapping, rows *mapping.Rows) *mapping.Titles {
	if !m.ReadsTitles() {
		return nil
	}
	t := rows.Titles()
	return &t
}

func (c *importCommand) report(s *session, id string, r upload.Result, refused int64, titles *mapping.Titles) error {
	if s.json() {
		fields := map[string]any{
			"import_id": id, "committed_through": r.Committed, "created": r.Created, "updated": r.Updated, "unchanged": r.Unchanged,
			"rejected_by_service": r.Rejected, "rejected_by_mapping": refused, "resumed_from": r.Resumed, "consistency_token": r.Token,
			"dry_run": c.DryRun,
		}
		if len(r.Warnings) > 0 {
			fields["warnings"] = r.Warnings
		}
		if titles != nil {
			fields["job_titles"] = map[string]any{"read": titles.Read, "below_confidence": titles.BelowThreshold, "unknown": titles.Unknown}
		}
		return s.printJSON(fields)
	}
	if titles != nil {
		if err := s.print("%s job titles read as a level, %s below the confidence, %s without a level\n",
			table.Int(titles.Read), table.Int(titles.BelowThreshold), table.Int(titles.Unknown)); err != nil {
			return err
		}
	}
	if c.DryRun {
		return s.print("%s rows can be imported, %s cannot; nothing was sent\n", table.Int(r.Committed), table.Int(refused))
	}
	if r.Resumed > 0 {
		if err := s.print("went on behind row %s of the same import\n", table.Int(r.Resumed)); err != nil {
			return err
		}
	}
	if err := s.print("%s profiles created, %s changed, %s as they were, %s rows rejected\n",
		table.Int(r.Created), table.Int(r.Updated), table.Int(r.Unchanged), table.Int(r.Rejected+refused)); err != nil {
		return err
	}
	for _, code := range slices.Sorted(maps.Keys(r.Warnings)) {
		if err := s.print("%s rows are stored as they were given and look wrong: %s\n", table.Int(r.Warnings[code]), code); err != nil {
			return err
		}
	}
	if r.Rejected+refused > 0 && c.Reject == "" {
		s.note("  next  --reject=FILE writes the rejected rows with line and reason\n")
	}
	return s.facts("import id", id, "token", r.Token)
}

// countingReader counts what was read, for progress.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// rejects writes refused rows.
type rejects struct {
	file *os.File
	out  *csv.Writer
	rows bool
}

func newRejects(name string, rows bool) (*rejects, error) {
	if name == "" {
		return &rejects{}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	r := &rejects{file: f, out: csv.NewWriter(f), rows: rows}
	head := []string{"line", "reason", "field", "message"}
	if rows {
		head = append(head, "row")
	}
	return r, r.write(head)
}

func (r *rejects) write(record []string) error {
	if r.out == nil {
		return nil
	}
	if err := r.out.Write(record); err != nil {
		return fmt.Errorf("write the reject file: %w", err)
	}
	return nil
}

// mapped writes a row that could not be mapped, a line for each problem.
func (r *rejects) mapped(row mapping.Row) error {
	for _, p := range row.Problems {
		record := []string{strconv.Itoa(row.Line), p.Reason, p.Field, p.Message}
		if r.rows {
			record = append(record, row.Raw)
		}
		if err := r.write(record); err != nil {
			return err
		}
	}
	return nil
}

// refused writes a row that the service refused.
func (r *rejects) refused(x upload.Rejection) error {
	line := ""
	if x.Line > 0 {
		line = strconv.Itoa(x.Line)
	}
	record := []string{line, x.Reason, x.Field, x.Message}
	if r.rows {
		record = append(record, "")
	}
	return r.write(record)
}

func (r *rejects) close() error {
	if r.out == nil {
		return nil
	}
	r.out.Flush()
	if err := errors.Join(r.out.Error(), r.file.Close()); err != nil {
		return fmt.Errorf("write the reject file: %w", err)
	}
	return nil
}

// progress shows how far work has come: a bar on a terminal, a plain line now and then elsewhere.
type progress struct {
	s     *session
	what  string
	total int64
	bar   *progressbar.ProgressBar
	begun time.Time
	told  time.Time
}

// sayEvery is the time between two plain lines.
const sayEvery = 2 * time.Second

func (s *session) progress(what string, total int64) *progress {
	p := &progress{s: s, what: what, total: total, begun: s.env.Now(), told: s.env.Now()}
	if s.env.Terminal && !s.json() {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.env.Stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionSetWidth(40), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true))
	}
	return p
}

func (p *progress) at(n int64) {
	if p.bar != nil {
		_ = p.bar.Set64(min(n, p.total)) // a bar that cannot be drawn must not stop the work
		return
	}
	if now := p.s.env.Now(); now.Sub(p.told) >= sayEvery && p.total > 0 && !p.s.json() {
		p.told = now
		p.s.note("%s: %d %%\n", p.what, min(n, p.total)*100/p.total)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
