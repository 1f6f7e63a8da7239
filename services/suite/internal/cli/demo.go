package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/population"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/people"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

type demoCommand struct {
	Once    bool          `help:"Exit after printing instead of serving on."`
	People  int           `help:"How many people." default:"200000"`
	Seed    uint64        `help:"Seed of the population: the same seed, the same people." default:"1"`
	Listen  string        `help:"Address to serve gRPC on, host:port; port 0 takes any free one." default:"127.0.0.1:7411" env:"NARROWCAST_LISTEN"`
	HTTP    string        `name:"ops-listen" help:"Address of metrics and health over HTTP; none: not served." default:"127.0.0.1:7412" env:"NARROWCAST_OPS_LISTEN"`
	DataDir string        `help:"Folder for the databases; what an earlier demo left there is removed. None: a temporary one."`
	Wait    time.Duration `help:"Longest wait for the services and the index." default:"2m"`
}

// mark is a file in the folder of a demo, so that no other folder is ever removed.
const mark = ".narrowcast-demo"

// folder makes an empty folder for the databases; remove takes a temporary one away.
func (c *demoCommand) folder() (dir string, remove func() error, err error) {
	if c.DataDir == "" {
		dir, err = os.MkdirTemp("", "narrowcast-demo-")
		if err != nil {
			return "", nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	entries, err := os.ReadDir(c.DataDir)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0:
	case err != nil:
		return "", nil, fmt.Errorf("look into the data folder: %w", err)
	default:
		if _, err := os.Stat(filepath.Join(c.DataDir, mark)); err != nil {
			return "", nil, usage("--data-dir=%s is not empty and not of an earlier demo: name another folder", c.DataDir)
		}
		if err := os.RemoveAll(c.DataDir); err != nil {
			return "", nil, fmt.Errorf("remove the data of an earlier demo: %w", err)
		}
	}
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return "", nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.DataDir, mark), nil, 0o600); err != nil {
		return "", nil, fmt.Errorf("mark the data folder: %w", err)
	}
	return c.DataDir, func() error { return nil }, nil
}

func (c *demoCommand) run(s *session) (err error) {
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cfg := suite.Default()
	cfg.Listen, cfg.HTTP, cfg.DataDir, cfg.LogLevel = c.Listen, c.HTTP, dir, slog.LevelError // what is printed is the demo's own
	running, err := s.suite(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	s.ctx = ctx
	if err := c.wait(ctx, running, ended); err != nil {
		return err
	}
	conn := running.Local()
	s.client = client.New(client.Conns{Profile: conn, Segment: conn, Persona: conn, Campaign: conn}, client.Config{})
	if err := c.show(s); err != nil {
		return err
	}
	if s.env.Started != nil {
		s.env.Started(running)
	}
	if c.Once {
		return nil
	}
	if err := c.howTo(s, running.Addr()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		ended <- nil
		return err
	}
}

func (c *demoCommand) wait(ctx context.Context, running *suite.Suite, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- running.Wait(ctx) }()
	select {
	case err := <-served:
		return err
	case err := <-ended:
		ended <- nil
		cancel()
		if waited := <-served; err == nil {
			err = waited
		}
		if err == nil {
			err = errors.New("the suite stopped before it served")
		}
		return err
	}
}

// microAudience is the audience of the first run.
func microAudience() *campaignv1.AudienceSpec {
	least, most := int32(25), int32(34)
	return &campaignv1.AudienceSpec{
		Regions: []string{"FR-NAQ"}, Age: &typev1.AgeRange{Min: &least, Max: &most}, MinJobLevel: typev1.JobLevel_JOB_LEVEL_DIRECTOR,
		Interests: []string{"cycling"}, Channel: typev1.Channel_CHANNEL_EMAIL,
	}
}

// show makes everything and prints it.
func (c *demoCommand) show(s *session) error {
	if err := c.fill(s); err != nil {
		return err
	}
	for _, seg := range []struct{ id, name, rule string }{
		{"young-leaders", "Young leaders", `age() >= 25 && age() <= 34 && job_level >= "director"`},
		{"atlantic-cyclists", "Cyclists of the Atlantic South-West", `region.within("FR-NAQ") && "cycling" in interests`},
	} {
		ctx, cancel := s.call()
		made, err := s.client.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: seg.id, Segment: &segmentv1.Segment{
			DisplayName: seg.name, Definition: &segmentv1.Segment_Rule{Rule: seg.rule},
		}})
		cancel()
		if err != nil {
			return err
		}
		if err := s.print("segment   %-18s %s\n", short(made.GetName()), seg.rule); err != nil {
			return err
		}
	}
	if err := c.describe(s); err != nil {
		return err
	}
	return c.answer(s)
}

// fill imports the population over the real import.
func (c *demoCommand) fill(s *session) error {
	if _, err := s.declare(people.Attributes(), nil); err != nil {
		return err
	}
	crowd := population.New(c.Seed, c.People)
	bar := s.progress("importing "+table.Int(crowd.Len())+" synthetic people", int64(crowd.Len()))
	begun := s.env.Now()
	result, err := upload.Run(s.ctx, s.client.Profiles, func(yield func(upload.Item[*profilev1.Profile], error) bool) {
		for _, p := range crowd.All() {
			if !yield(upload.Item[*profilev1.Profile]{Row: people.Profile(&p)}, nil) {
				return
			}
		}
	}, upload.Options{ImportID: fmt.Sprintf("demo-%d-%d", c.Seed, c.People), OnProgress: func(r upload.Result) { bar.at(r.Committed) }})
	bar.end()
	if err != nil {
		return fmt.Errorf("import the population: %w", err)
	}
	took := s.env.Now().Sub(begun)
	if result.Created != int64(crowd.Len()) {
		return fmt.Errorf("the import created %d profiles of %d; %d were rejected", result.Created, crowd.Len(), result.Rejected)
	}
	return s.print("imported  %s people in %s (%s a second)\n", table.Int(result.Created), took.Round(100*time.Millisecond),
		table.Int(int64(float64(result.Created)/max(took.Seconds(), .001))))
}

// describe makes the persona, the saved audience and the campaign.
func (c *demoCommand) describe(s *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, c.Wait)
	defer cancel()
	var persona *personav1.Persona
	err := s.patiently(ctx, func(ctx context.Context) (err error) {
		persona, err = s.client.Personas.GeneratePersona(ctx, &personav1.GeneratePersonaRequest{
			Segment: "segments/atlantic-cyclists", PersonaId: "camille", DisplayName: "Camille", AtLeastAsFresh: s.client.Token(),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("generate a persona: %w", err)
	}
	if err := s.print("persona   %-18s %s\n", short(persona.GetName()), persona.GetHeadline()); err != nil {
		return err
	}
	saved, err := s.client.Audiences.CreateAudience(ctx, &campaignv1.CreateAudienceRequest{
		AudienceId: "gravel-launch", Audience: &campaignv1.Audience{DisplayName: "Gravel bike launch", Spec: microAudience()},
	})
	if err != nil {
		return fmt.Errorf("save the audience: %w", err)
	}
	m, err := s.client.Campaigns.CreateCampaign(ctx, &campaignv1.CreateCampaignRequest{
		CampaignId: "gravel-launch", Campaign: &campaignv1.Campaign{
			DisplayName: "Gravel bike launch", Objective: campaignv1.Campaign_OBJECTIVE_ACQUISITION, Audience: saved.GetName(),
			ValueProposition: "A test ride from your own door, for leaders who would rather be out than in another meeting.",
			Channel:          typev1.Channel_CHANNEL_EMAIL, Budget: &typev1.Money{CurrencyCode: "EUR", Amount: "5000"},
		},
	})
	if err != nil {
		return fmt.Errorf("create the campaign: %w", err)
	}
	return s.print("campaign  %-18s %s, %s\n\n", short(m.GetName()), objective(m), money(m.GetBudget()))
}

// answer prints the narrowing with ten profiles, and checks that the count is the number of ids streamed.
func (c *demoCommand) answer(s *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, c.Wait)
	defer cancel()
	ref := &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: "audiences/gravel-launch"}}
	fresh := &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: s.client.Token()}}
	var count *campaignv1.CountAudienceResponse
	err := s.patiently(ctx, func(ctx context.Context) (err error) {
		count, err = s.client.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: ref, Consistency: fresh})
		return err
	})
	if err != nil {
		return fmt.Errorf("count the audience: %w", err)
	}
	if err := s.narrowing(count); err != nil {
		return err
	}
	var names []string
	var streamed int64
	stream := s.client.Members(ctx, &campaignv1.StreamMembersRequest{Audience: ref, Consistency: fresh})
	for uid, err := range stream.All() {
		if err != nil {
			return fmt.Errorf("stream the members: %w", err)
		}
		if streamed++; len(names) < 10 {
			names = append(names, "profiles/"+uid.String())
		}
	}
	if err := s.print("\nten of them:\n"); err != nil {
		return err
	}
	if len(names) > 0 {
		if err := s.showProfiles(names); err != nil {
			return err
		}
	}
	if err := s.print("\ncount %s, streamed ids %s\n", table.Int(count.GetCount()), table.Int(streamed)); err != nil {
		return err
	}
	if count.GetCount() != streamed+stream.HeldBack() {
		return fmt.Errorf("the count is %d and %d ids were streamed: they must be the same", count.GetCount(), streamed)
	}
	return nil
}

// howTo prints how to go on.
func (c *demoCommand) howTo(s *session, addr string) error {
	program, err := os.Executable()
	if err != nil {
		program = "narrowcast"
	}
	flag := ""
	if addr != "127.0.0.1:7411" {
		flag = " --addr " + addr
	}
	return s.print(`
serving on %[1]s until Ctrl-C; try:
  %[2]s audience count%[3]s gravel-launch
  %[2]s audience count%[3]s --region FR-BRE --age 30-44 --interest sailing --channel email
  %[2]s audience members%[3]s gravel-launch --limit 3 --show
  %[2]s segment breakdown%[3]s atlantic-cyclists --by age,job_level
  %[2]s audience breakdown%[3]s gravel-launch --by gender --by job_level
  %[2]s audience overlap%[3]s segments/atlantic-cyclists segments/young-leaders
  %[2]s persona get%[3]s camille
  grpcurl -plaintext -d '{"audience": {"name": "audiences/gravel-launch"}}' %[1]s narrowcast.campaign.v1.AudienceService/CountAudience
  grpcurl -plaintext %[1]s list
`, addr, program, flag)
}
