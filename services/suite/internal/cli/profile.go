package cli

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type profileCommands struct {
	Get    profileGet    `cmd:"" help:"Show profiles."`
	List   profileList   `cmd:"" help:"List profiles, in the order of their creation."`
	Create profileCreate `cmd:"" help:"Create a profile from JSON."`
	Update profileUpdate `cmd:"" help:"Change a profile."`
	Delete profileDelete `cmd:"" help:"Delete a profile."`

	Segments profileSegments `cmd:"" help:"Say which segments hold profiles."`

	Resolve profileResolve `cmd:"" help:"Find profiles by their identifiers."`
	Merge   profileMerge   `cmd:"" help:"Make one profile of two that are one person."`
	Unmerge profileUnmerge `cmd:"" help:"Undo a merge."`
	Export  profileExport  `cmd:"" help:"Print identifiers of profiles as a destination wants them, of those who have consented."`
}

type profileGet struct {
	Names []string `arg:"" help:"Profiles: names or uids."`
}

func (c *profileGet) run(s *session) error {
	if len(c.Names) > 1 {
		return s.showProfiles(resources("profiles", c.Names))
	}
	ctx, cancel := s.call()
	defer cancel()
	p, err := s.client.Profiles.GetProfile(ctx, &profilev1.GetProfileRequest{Name: resource("profiles", c.Names[0])})
	if err != nil {
		return err
	}
	return s.showProfile(p)
}

type profileList struct{ paging }

// paging are the flags of a command that lists one page.
type paging struct {
	Limit     int32  `help:"At most so many, up to 1000." default:"50"`
	PageToken string `help:"Go on behind the page that gave this token." placeholder:"TOKEN"`
}

func (p *paging) check() error {
	if p.Limit < 1 || p.Limit > 1000 {
		return usage("--limit=%d: give 1 to 1000", p.Limit)
	}
	return nil
}

// more says how to see the next page, if there is one.
func (s *session) more(token string) {
	if token != "" {
		s.note("there are more: --page-token=%s\n", token)
	}
}

func (c *profileList) run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	page, err := s.client.Profiles.ListProfiles(ctx, &profilev1.ListProfilesRequest{PageSize: c.Limit, PageToken: c.PageToken})
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(page)
	}
	if err := s.profileTable(page.GetProfiles()); err != nil {
		return err
	}
	s.more(page.GetNextPageToken())
	return nil
}

// profileTable prints a line a profile.
func (s *session) profileTable(all []*profilev1.Profile) error {
	t := table.New("profile", "name", "born", "region", "job level", "employer", ">income", "interests")
	for _, p := range all {
		t.Row(short(p.GetName()), fullName(p), calendar(p.GetBirthDate()), p.GetRegion(), wire.JobLevels.Text(p.GetJobLevel()),
			p.GetEmployer().GetName(), money(p.GetIncome()), strings.Join(p.GetInterests().GetValues(), ", "))
	}
	return s.table(t)
}

func fullName(p *profilev1.Profile) string {
	return strings.TrimSpace(p.GetGivenName() + " " + p.GetFamilyName())
}

func (s *session) showProfile(p *profilev1.Profile) error {
	if s.json() {
		return s.message(p)
	}
	pairs := []string{
		"name", p.GetName(), "person", fullName(p), "born", calendar(p.GetBirthDate()), "gender", wire.Genders.Text(p.GetGender()),
		"region", p.GetRegion(), "postal code", p.GetPostalCode(), "job level", wire.JobLevels.Text(p.GetJobLevel()),
		"income", money(p.GetIncome()), "education", wire.Educations.Text(p.GetEducation()),
		"marital status", wire.MaritalStatuses.Text(p.GetMaritalStatus()), "occupation", p.GetOccupation(),
		"employer", strings.Join(nonEmpty(p.GetEmployer().GetName(), p.GetEmployer().GetIndustry(), wire.EmployerSizes.Text(p.GetEmployer().GetSize())), ", "),
		"household", p.GetHousehold(), "roles", strings.Join(wire.Roles.TextsOf(p.GetRoles().GetValues()), ", "),
		"lifecycle", wire.Lifecycles.Text(p.GetLifecycle()), "interests", texts(p.GetInterests()), "values", texts(p.GetValues()),
		"needs", texts(p.GetNeeds()), "channels", strings.Join(wire.Channels.TextsOf(p.GetPreferredChannels().GetValues()), ", "),
		"brands", texts(p.GetPreferredBrands()),
	}
	pairs = append(pairs, behaviour(p.GetTraits())...)
	for _, c := range p.GetConsents() {
		channel, until := wire.Channels.Text(c.GetChannel()), ""
		if channel == "" {
			channel = "any channel"
		}
		if c.GetExpireDate() != nil {
			until = " until " + calendar(c.GetExpireDate())
		}
		pairs = append(pairs, "consent", wire.Purposes.Text(c.GetPurpose())+" over "+channel+": "+wire.ConsentStatuses.Text(c.GetStatus())+until)
	}
	for _, id := range p.GetIdentifiers() {
		pairs = append(pairs, wire.IdentifierKinds.Text(id.GetKind()), strings.Join(nonEmpty(id.GetSource(), id.GetValue()), ": "))
	}
	for _, id := range slices.Sorted(maps.Keys(p.GetCustom())) {
		pairs = append(pairs, "custom."+id, customText(p.GetCustom()[id]))
	}
	for _, w := range p.GetWarnings() {
		pairs = append(pairs, "warning", w.GetField()+": "+w.GetMessage()+" ("+w.GetCode()+")")
	}
	return s.facts(append(pairs, "etag", p.GetEtag(), "token", p.GetConsistencyToken())...)
}

func texts(l *typev1.TextList) string { return strings.Join(l.GetValues(), ", ") }

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func customText(v *typev1.AttributeValue) string {
	switch x := v.GetValue().(type) {
	case *typev1.AttributeValue_Text:
		return x.Text
	case *typev1.AttributeValue_Decimal:
		return x.Decimal
	case *typev1.AttributeValue_Boolean:
		if x.Boolean {
			return "yes"
		}
		return "no"
	case *typev1.AttributeValue_Date:
		return calendar(x.Date)
	case *typev1.AttributeValue_Texts:
		return texts(x.Texts)
	}
	return ""
}

// profileJSON reads a profile as JSON.
func (s *session) profileJSON(file string) (*profilev1.Profile, error) {
	text, err := readFile(file, s.env.Stdin)
	if err != nil {
		return nil, err
	}
	p := &profilev1.Profile{}
	if err := protojson.Unmarshal(text, p); err != nil {
		return nil, usage("%s is not a Profile in JSON: %s", file, jsonError(text, err))
	}
	return p, nil
}

type profileCreate struct {
	File string `arg:"" help:"File with the profile as JSON, - for standard input."`
	writing
}

func (c *profileCreate) run(s *session) error {
	p, err := s.profileJSON(c.File)
	if err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	if p, err = s.client.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: p}); err != nil {
		return err
	}
	s.settle(c.writing, p.GetConsistencyToken())
	return s.showProfile(p)
}

type profileUpdate struct {
	Name string   `arg:"" help:"The profile."`
	File string   `arg:"" help:"File with what changes as JSON, - for standard input."`
	Mask []string `help:"Fields to change, such as job_level,custom.tier; one that is not in the file becomes unknown. None: those in the file; *: all."`
	Etag string   `help:"Change it only if it still has this etag."`
	writing
}

func (c *profileUpdate) run(s *session) error {
	p, err := s.profileJSON(c.File)
	if err != nil {
		return err
	}
	p.Name = resource("profiles", c.Name)
	if c.Etag != "" {
		p.Etag = c.Etag
	}
	var mask *fieldmaskpb.FieldMask
	if len(c.Mask) > 0 {
		mask = &fieldmaskpb.FieldMask{Paths: c.Mask}
	}
	ctx, cancel := s.call()
	defer cancel()
	if p, err = s.client.Profiles.UpdateProfile(ctx, &profilev1.UpdateProfileRequest{Profile: p, UpdateMask: mask}); err != nil {
		return err
	}
	s.settle(c.writing, p.GetConsistencyToken())
	return s.showProfile(p)
}

type profileDelete struct {
	Name string `arg:"" help:"The profile."`
	Etag string `help:"Delete it only if it still has this etag."`
	writing
}

func (c *profileDelete) run(s *session) error {
	var answer *profilev1.DeleteProfileResponse
	name := resource("profiles", c.Name)
	err := func(ctx context.Context, cancel context.CancelFunc) (err error) {
		defer cancel()
		answer, err = s.client.Profiles.DeleteProfile(ctx, &profilev1.DeleteProfileRequest{Name: name, Etag: c.Etag})
		return err
	}(s.call())
	if err != nil {
		return err
	}
	s.settle(c.writing, answer.GetConsistencyToken())
	if s.json() {
		return s.message(answer)
	}
	return s.print("%s is deleted\n", name)
}
