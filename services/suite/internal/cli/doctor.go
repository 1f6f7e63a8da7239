package cli

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks/redisblocks"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/doctor"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

// Results of a check.
const (
	resultOK      = "ok"
	resultDiffers = "differs"
	resultUnknown = "could not check"
)

// doctorCommand takes the flags of up, so that the same settings, and the same environment, name the same stores.
type doctorCommand struct {
	Store    bool `help:"Examine the profile store that the configuration names, whether services run or not."`
	Examples int  `help:"Most examples of each kind." default:"5"`
	suite.Config
}

// checked is one line of what doctor found.
type checked struct {
	Check    string   `json:"check"`
	Result   string   `json:"result"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples,omitempty"`
	Note     string   `json:"note,omitempty"`
}

func (c *doctorCommand) run(s *session) error {
	if c.Examples < 0 {
		return usage("--examples: give zero or more")
	}
	if c.Store {
		return s.checked(c.store(s))
	}
	return s.connected("narrowcast doctor", func() error {
		lines, err := c.index(s)
		if err != nil {
			return err
		}
		return s.checked(lines)
	})
}

// index compares the index of running services with their profiles.
func (c *doctorCommand) index(s *session) (lines []checked, err error) {
	var results []doctor.Result
	if c.Redis.IsZero() {
		results = doctor.Counts(s.ctx, doctor.CountsConfig{Profiles: s.client.Profiles, Audiences: s.client.Audiences, Examples: c.Examples})
	} else {
		c.RedisAccess.Address = c.Redis
		store, err := c.RedisAccess.Client()
		if err != nil {
			return nil, usage("%v", err)
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		conn, err := rpc.Dial(cmp.Or(s.opts.SegmentAddr, s.opts.Addr), rpc.DialOptions{})
		if err != nil {
			return nil, usage("%v", err)
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		results = doctor.Index(s.ctx, doctor.IndexConfig{
			Profiles: s.client.Profiles, Segments: conn, Blocks: redisblocks.New(store), Examples: c.Examples, Wait: s.opts.Timeout,
		})
	}
	results = append(results, doctor.Segments(s.ctx, doctor.SegmentsConfig{Segments: s.client.Segments, Audiences: s.client.Audiences, Examples: c.Examples})...)
	for _, r := range results {
		line := checked{Check: r.Check, Result: resultOK, Count: r.Count, Examples: r.Examples, Note: r.Note}
		switch {
		case r.Count > 0:
			line.Result = resultDiffers
		case r.Failed:
			line.Result = resultUnknown
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// store examines the profile store.
func (c *doctorCommand) store(s *session) []checked {
	lines := make([]checked, 0, 8)
	at := make(map[string]int)
	for i, name := range suite.StoreChecks() {
		lines, at[name] = append(lines, checked{Check: name, Result: resultOK}), i
	}
	n, err := suite.Examine(s.ctx, c.Config, c.NewLogger(s.env.Stderr), func(p suite.Problem) {
		i, listed := at[p.Check]
		if !listed {
			i = len(lines)
			lines, at[p.Check] = append(lines, checked{Check: p.Check}), i
		}
		line := &lines[i]
		line.Result = resultDiffers
		if line.Count++; len(line.Examples) < c.Examples {
			line.Examples = append(line.Examples, strings.TrimPrefix(p.Name+": "+p.What, ": "))
		}
	})
	for i := range lines {
		switch {
		case err != nil && lines[i].Result == resultOK:
			lines[i].Result, lines[i].Note = resultUnknown, err.Error()
		case err == nil && i == 0:
			lines[i].Note = strconv.FormatInt(n.Profiles, 10) + " profiles, " + strconv.FormatInt(n.Identifiers, 10) + " identifiers, " +
				strconv.FormatInt(n.Tombstones, 10) + " tombstones, " + strconv.FormatInt(n.Events, 10) + " events, " +
				strconv.FormatInt(n.Merges, 10) + " merges kept"
		}
	}
	return lines
}

// checked prints the lines and fails unless all is well.
func (s *session) checked(lines []checked) error {
	bad := false
	t := table.New("CHECK", "RESULT", ">COUNT", "")
	for _, l := range lines {
		bad = bad || l.Result != resultOK
		count := ""
		if l.Count > 0 {
			count = strconv.FormatInt(l.Count, 10)
		}
		t.Row(l.Check, l.Result, count, l.Note)
		for _, e := range l.Examples {
			t.Row("", "", "", e)
		}
	}
	var err error
	if s.json() {
		err = s.printJSON(lines)
	} else {
		err = s.table(t)
	}
	if err == nil && bad {
		return errQuiet
	}
	return err
}
