package cli

import (
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type keysCommands struct {
	Create  keysCreate  `cmd:"" help:"Make a key file with a fresh contact key and a fresh index key."`
	List    keysList    `cmd:"" help:"List the keys of a file, without what is secret."`
	Add     keysAdd     `cmd:"" help:"Add a key that is not used yet, to be promoted when every process has the file."`
	Promote keysPromote `cmd:"" help:"Seal or hash with this key from now on."`
	Disable keysDisable `cmd:"" help:"Keep a key and do not use it: the rehearsal of its removal."`
	Enable  keysEnable  `cmd:"" help:"Use a disabled key again."`
	Remove  keysRemove  `cmd:"" help:"Remove a key for good: what is still sealed with it is lost."`
}

// keyFile names the file that the commands below work on. They need no service.
type keyFile struct {
	File string `arg:"" help:"The key file."`
}

// keyChoice names one key of it.
type keyChoice struct {
	keyFile
	Kind string `required:"" enum:"contact,index" help:"contact or index."`
	ID   uint32 `required:"" name:"id" help:"Id of the key, as keys list shows it."`
}

type keysCreate struct {
	keyFile
	Keep bool `help:"Leave a file that is there already as it is, for scripts that run each time."`
}

func (c *keysCreate) run(s *session) error {
	k, err := keyring.New()
	if err != nil {
		return err
	}
	err = keyring.Create(c.File, k)
	if c.Keep && fault.ReasonOf(err) == keyring.ReasonExist {
		return (&keysList{c.keyFile}).run(s)
	}
	if err != nil {
		return err
	}
	s.note("keep a copy of %s apart from the backups of the data; what is sealed with lost keys is lost\n", c.File)
	return s.showKeys(k, nil)
}

type keysList struct{ keyFile }

func (c *keysList) run(s *session) error {
	k, warning, err := keyring.Read(c.File)
	if err != nil {
		return err
	}
	if warning != "" {
		s.note("warning: %s\n", warning)
	}
	return s.showKeys(k, nil)
}

type keysAdd struct {
	keyFile
	Kind string `required:"" enum:"contact,index" help:"contact or index."`
}

func (c *keysAdd) run(s *session) error {
	var id uint32
	k, err := keyring.Update(c.File, func(k keyring.Keys) (out keyring.Keys, err error) {
		out, id, err = k.Add(keyring.Kind(c.Kind))
		return out, err
	})
	if err != nil {
		return err
	}
	return s.showKeys(k, &id)
}

type keysPromote struct{ keyChoice }

func (c *keysPromote) run(s *session) error { return c.change(s, keyring.Keys.Promote) }

type keysDisable struct{ keyChoice }

func (c *keysDisable) run(s *session) error { return c.change(s, keyring.Keys.Disable) }

type keysEnable struct{ keyChoice }

func (c *keysEnable) run(s *session) error { return c.change(s, keyring.Keys.Enable) }

type keysRemove struct{ keyChoice }

func (c *keysRemove) run(s *session) error { return c.change(s, keyring.Keys.Remove) }

// change does one thing to the chosen key and shows what the file then holds.
func (c *keyChoice) change(s *session, how func(keyring.Keys, keyring.Kind, uint32) (keyring.Keys, error)) error {
	k, err := keyring.Update(c.File, func(k keyring.Keys) (keyring.Keys, error) { return how(k, keyring.Kind(c.Kind), c.ID) })
	if err != nil {
		return err
	}
	return s.showKeys(k, nil)
}

// keyShown is a key as programs read it.
type keyShown struct {
	Kind    string `json:"kind"`
	ID      uint32 `json:"id"`
	Status  string `json:"status"`
	Primary bool   `json:"primary"`
}

// showKeys lists keys; programs hear the id of an added one by itself, people find it at the end of its kind.
func (s *session) showKeys(k keyring.Keys, added *uint32) error {
	list := k.List()
	if s.json() {
		out := struct {
			Keys  []keyShown `json:"keys"`
			Added *uint32    `json:"added,omitempty"`
		}{[]keyShown{}, added}
		for _, key := range list {
			out.Keys = append(out.Keys, keyShown{string(key.Kind), key.ID, string(key.Status), key.Primary})
		}
		return s.printJSON(out)
	}
	t := table.New("kind", ">id", "status", "primary")
	for _, key := range list {
		primary := ""
		if key.Primary {
			primary = "yes"
		}
		t.Row(string(key.Kind), strconv.FormatUint(uint64(key.ID), 10), string(key.Status), primary)
	}
	return s.table(t)
}
