package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

const (
	crashRows  = 60_000
	crashChunk = 1_000
	crashes    = 3
)

// A process that is killed in the middle of an import has every row that it acknowledged, goes on with the same import, and in
// the end has every row once.
func TestSIGKILLDuringAnImportLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	o := options{}.filled(t)
	acknowledged := int64(0)
	for n := range crashes {
		p := startProcess(t, o.logs, "narrowcast", append([]string{"up"}, serveFlags(o.dataDir)...)...)
		// A point of what is left; the later ones reach further.
		target := acknowledged + random.Int64N(max(1, (crashRows-acknowledged)*2/3))
		st := connect(t, p, o)
		resumed, reached := importRows(t, st, func(through int64) bool { return through >= target })
		if resumed < acknowledged {
			t.Fatalf("crash %d: the import goes on at row %d, but %d were acknowledged", n, resumed, acknowledged)
		}
		p.kill()
		t.Logf("crash %d: resumed at %d, killed at %d", n, resumed, reached)
		acknowledged = reached
	}

	p := startProcess(t, o.logs, "narrowcast", append([]string{"up"}, serveFlags(o.dataDir)...)...)
	st := connect(t, p, o)
	holdsRows(t, st, acknowledged)
	resumed, reached := importRows(t, st, func(int64) bool { return false })
	if resumed < acknowledged || reached != crashRows {
		t.Errorf("the import goes on at %d and ends at %d; want at least %d and %d", resumed, reached, acknowledged, crashRows)
	}
	if rows := holdsRows(t, st, crashRows); rows != crashRows {
		t.Errorf("the store holds %d profiles; want %d", rows, crashRows)
	}
	if n := everybody(t, st); n != crashRows {
		t.Errorf("%d people are counted; want %d", n, crashRows)
	}
	// The same import again changes nothing.
	if resumed, _ := importRows(t, st, func(int64) bool { return false }); resumed != crashRows {
		t.Errorf("the finished import goes on at %d; want %d", resumed, crashRows)
	}
}

// connect is a stack of one process.
func connect(t *testing.T, p *process, o options) *stack {
	t.Helper()
	conn := dial(t, p.addr, rpc.DialOptions{})
	addr := map[string]string{}
	for _, target := range targets {
		addr[target] = p.addr
	}
	return newStack(client.Conns{Profile: conn, Segment: conn, Persona: conn, Campaign: conn}, addr, o)
}

func externalID(row int64) string { return fmt.Sprintf("row-%d", row) }

// importRows begins or resumes the import and sends all rows until the service has committed them or enough says stop. It returns where
// it resumed and the last acknowledgement.
func importRows(t *testing.T, st *stack, enough func(through int64) bool) (resumed, reached int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	s, err := st.Profiles.ImportProfiles(ctx)
	if err != nil {
		t.Fatalf("begin the import: %v", err)
	}
	start := &profilev1.ImportProfilesRequest_Start_{Start: &profilev1.ImportProfilesRequest_Start{ImportId: "crash"}}
	if err := s.Send(&profilev1.ImportProfilesRequest{Message: start}); err != nil {
		t.Fatalf("begin the import: %v", err)
	}
	first, err := s.Recv()
	if err != nil {
		t.Fatalf("begin the import: %v", err)
	}
	resumed = first.GetCommittedThrough()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for offset := resumed; offset < crashRows; offset += crashChunk {
			chunk := &profilev1.ImportProfilesRequest_Chunk{Offset: offset}
			for row := offset; row < min(offset+crashChunk, crashRows); row++ {
				chunk.Profiles = append(chunk.Profiles, &profilev1.Profile{Identifiers: []*profilev1.Identifier{
					{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crash", Value: externalID(row)},
				}})
			}
			if s.Send(&profilev1.ImportProfilesRequest{Message: &profilev1.ImportProfilesRequest_Chunk_{Chunk: chunk}}) != nil {
				return // the receiving side says why
			}
		}
		_ = s.CloseSend() // as above
	}()
	defer func() {
		cancel()
		<-sent
	}()
	for reached = resumed; !enough(reached); {
		answer, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("import: %v", err)
		}
		if through := answer.GetCommittedThrough(); through < reached {
			t.Fatalf("committed_through goes back from %d to %d", reached, through)
		}
		if answer.GetRejected() != 0 || answer.GetUpdated() != 0 {
			t.Fatalf("rows are rejected or there already: %v", answer)
		}
		reached = answer.GetCommittedThrough()
	}
	return resumed, reached
}

// holdsRows lists the whole store: each external id once, and all those of the first rows. It returns how many profiles there are.
func holdsRows(t *testing.T, st *stack, through int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := map[string]bool{}
	profiles := int64(0)
	req := &profilev1.ListProfilesRequest{PageSize: 1000}
	for {
		page, err := st.Profiles.ListProfiles(ctx, req)
		if err != nil {
			t.Fatalf("list profiles: %v", err)
		}
		for _, p := range page.GetProfiles() {
			profiles++
			id := p.GetIdentifiers()[0].GetValue()
			if seen[id] {
				t.Errorf("%s is there twice", id)
			}
			seen[id] = true
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	for row := range through {
		if !seen[externalID(row)] {
			t.Fatalf("row %d was acknowledged and is not there", row)
		}
	}
	return profiles
}
