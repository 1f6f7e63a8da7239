//go:build ignore

// This program (go run gen.go -data <folder>) writes codes.txt from the iso-codes project's data: codes and parents alone, none of its texts.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	data := flag.String("data", "", "folder with iso_3166-1.json and iso_3166-2.json of the iso-codes project")
	out := flag.String("out", "codes.txt", "file to write")
	flag.Parse()
	if err := generate(*data, *out); err != nil {
		log.Fatal(err)
	}
}

func generate(data, out string) error {
	var countries struct {
		List []struct {
			Code string `json:"alpha_2"`
		} `json:"3166-1"`
	}
	var parts struct {
		List []struct{ Code, Parent string } `json:"3166-2"`
	}
	for name, into := range map[string]any{"iso_3166-1.json": &countries, "iso_3166-2.json": &parts} {
		raw, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("decode %s: %w", name, err)
		}
	}
	lines := make(map[string][]string)
	for _, c := range countries.List {
		lines[c.Code] = nil
	}
	for _, p := range parts.List {
		country, local, ok := strings.Cut(p.Code, "-")
		if _, known := lines[country]; !ok || !known {
			return fmt.Errorf("%s has no country", p.Code)
		}
		if p.Parent != "" {
			// Most parents are given without their country, some with it.
			local += "<" + strings.TrimPrefix(p.Parent, country+"-")
		}
		lines[country] = append(lines[country], local)
	}
	var b strings.Builder
	names := make([]string, 0, len(lines))
	for c := range lines {
		names = append(names, c)
	}
	slices.Sort(names)
	for _, c := range names {
		slices.Sort(lines[c])
		b.WriteString(strings.Join(append([]string{c}, lines[c]...), " ") + "\n")
	}
	return os.WriteFile(out, []byte(b.String()), 0o644)
}
