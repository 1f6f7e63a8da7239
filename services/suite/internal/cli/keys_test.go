package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// keysSaid is what the keys commands say to programs.
type keysSaid struct {
	Keys []struct {
		Kind, Status string
		ID           uint32
		Primary      bool
	}
	Added *uint32
}

// keys runs a keys command without any service and without an address at which one could be.
func keys(t *testing.T, line string, file string, args ...string) keysSaid {
	t.Helper()
	got := say(t, nil, "", append([]string{"keys", line, file, "-o", "json", "--addr", "nowhere.invalid:1"}, args...)...)
	var v keysSaid
	if err := json.Unmarshal([]byte(got.must(t)), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, got.out)
	}
	return v
}

func (k keysSaid) String() string {
	var all []string
	for _, key := range k.Keys {
		all = append(all, fmt.Sprintf("%s %s %v", key.Kind, key.Status, key.Primary))
	}
	return strings.Join(all, ", ")
}

func TestKeysAreRotatedOnTheCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	made := keys(t, "create", file)
	if made.String() != "contact enabled true, index enabled true" || made.Added != nil {
		t.Fatalf("made %v", made)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if kept := keys(t, "create", file, "--keep"); !slices.Equal(kept.Keys, made.Keys) {
		t.Errorf("kept %v, want %v", kept, made)
	}
	if fresh := keys(t, "create", filepath.Join(t.TempDir(), "keys.json"), "--keep"); len(fresh.Keys) != 2 || fresh.Keys[0].ID == made.Keys[0].ID {
		t.Errorf("where there is no file, made %v", fresh)
	}
	for i, kind := range []string{"contact", "index"} {
		old := fmt.Sprint(made.Keys[i].ID)
		added := keys(t, "add", file, "--kind", kind)
		if added.Added == nil || len(added.Keys) != 3 || added.Keys[i+1].ID != *added.Added || added.Keys[i+1].Kind != kind || added.Keys[i+1].Primary {
			t.Fatalf("%s: added %v", kind, added)
		}
		id := fmt.Sprint(*added.Added)
		if got := keys(t, "promote", file, "--kind", kind, "--id", id); got.Keys[i].Primary || !got.Keys[i+1].Primary {
			t.Errorf("%s: promoted %v", kind, got)
		}
		if got := keys(t, "disable", file, "--kind", kind, "--id", old); got.Keys[i].Status != "disabled" {
			t.Errorf("%s: disabled %v", kind, got)
		}
		if got := keys(t, "enable", file, "--kind", kind, "--id", old); got.Keys[i].Status != "enabled" {
			t.Errorf("%s: enabled %v", kind, got)
		}
		if got := keys(t, "remove", file, "--kind", kind, "--id", old); len(got.Keys) != 2 || fmt.Sprint(got.Keys[i].ID) != id {
			t.Errorf("%s: removed %v", kind, got)
		}
	}
	if got := keys(t, "list", file); got.String() != made.String() || got.Keys[0].ID == made.Keys[0].ID {
		t.Errorf("in the end %v, from %v", got, made)
	}
	// What the commands wrote is what the services read.
	k, warning, err := keyring.Read(file)
	if err != nil || warning != "" {
		t.Fatalf("read: %q, %v", warning, err)
	}
	if _, err := k.Ring(); err != nil {
		t.Error(err)
	}
}

func TestKeysListIsForPeopleAndTellsNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	created := say(t, nil, "", "keys", "create", file)
	if out := created.must(t); !strings.Contains(created.err, "keep a copy") || !strings.Contains(out, "contact") {
		t.Errorf("created: %s%s", out, created.err)
	}
	k, _, err := keyring.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	got := say(t, nil, "", "keys", "list", file)
	lines := strings.Split(got.must(t), "\n")
	want := [][]string{{"kind", "id", "status", "primary"}}
	for _, key := range k.List() {
		want = append(want, []string{string(key.Kind), fmt.Sprint(key.ID), "enabled", "yes"})
	}
	for i, cells := range want {
		if strings.Join(strings.Fields(lines[i]), " ") != strings.Join(cells, " ") {
			t.Errorf("line %d is %q, want %v", i, lines[i], cells)
		}
	}
	if got.err != "" {
		t.Errorf("warned: %s", got.err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	exposed := say(t, nil, "", "keys", "list", file)
	if exposed.must(t); !strings.Contains(exposed.err, "warning") || !strings.Contains(exposed.err, "0644") {
		t.Errorf("nothing warns of mode 0644: %s", exposed.err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	delete(whole, "version")
	if raw, err = json.Marshal(whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		t.Fatal(err)
	}
	for kind, set := range parts {
		if len(set.Key) != 1 || len(set.Key[0].KeyData.Value) < 40 {
			t.Fatalf("the test does not see the %s key in the file", kind)
		}
		for name, text := range map[string]string{
			"create": created.out + created.err, "list": got.out + got.err, "json": say(t, nil, "", "keys", "list", file, "-o", "json").must(t),
		} {
			if strings.Contains(text, set.Key[0].KeyData.Value[8:20]) {
				t.Errorf("%s tells the %s key", name, kind)
			}
		}
	}
}

func TestKeysCommandsThatAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	made := keys(t, "create", file)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	primary := fmt.Sprint(made.Keys[1].ID)
	for _, c := range []struct{ line, reason string }{
		{"create " + file, keyring.ReasonExist},
		{"remove " + file + " --kind index --id " + primary, keyring.ReasonKeyPrimary},
		{"disable " + file + " --kind index --id " + primary, keyring.ReasonKeyPrimary},
		{"promote " + file + " --kind contact --id 0", keyring.ReasonKeyNotFound},
		{"list " + file + ".not", keyring.ReasonMissing},
		{"add " + file + ".not --kind index", keyring.ReasonMissing},
		{"create " + filepath.Join(file, "below"), keyring.ReasonUnwritable},
	} {
		got := say(t, nil, "", append(strings.Fields("keys "+c.line), "-o", "json")...)
		told, _ := decode(t, got.err)["error"].(map[string]any)
		if got.code != cli.ExitError || told["reason"] != c.reason {
			t.Errorf("%s: code %d, %v, want %s", c.line, got.code, told, c.reason)
		}
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("a refused command changed the file, or %v", err)
	}
}
