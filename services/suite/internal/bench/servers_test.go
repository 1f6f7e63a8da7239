package bench

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// TestPrivateServersStartAndEnd needs the programs of both servers on this machine.
func TestPrivateServersStartAndEnd(t *testing.T) {
	dir, err := os.MkdirTemp("", "ncb-test-") // a test's own folder lies in one that postgres may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for round := range 2 { // the second time on the data of the first
		s, err := startServers(t.Context(), dir, true, true)
		if fault.ReasonOf(err) == ReasonNoServer {
			if os.Getenv("CI") == "true" {
				t.Fatalf("SERVER PROGRAMS NOT AVAILABLE: %v", err)
			}
			t.Skipf("SERVER PROGRAMS NOT AVAILABLE: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		opts, err := redis.ParseURL(s.redis)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(opts)
		if err := client.Ping(t.Context()).Err(); err != nil {
			t.Errorf("round %d: redis: %v", round, err)
		}
		if n, err := tree(s.postgresData); err != nil || n == 0 {
			t.Errorf("round %d: the data of postgres weigh %d, %v", round, n, err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for _, c := range s.children {
			if !c.cmd.ProcessState.Exited() {
				t.Errorf("round %d: %s has not ended", round, c.cmd)
			}
		}
		if _, err := os.Stat(s.sockets); !os.IsNotExist(err) {
			t.Errorf("round %d: the folder of the sockets: %v", round, err)
		}
	}
}
