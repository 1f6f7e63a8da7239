package suite_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/narrowcast/narrowcast/"

// pkgInfo is what `go list -deps -json` says of one package.
type pkgInfo struct {
	ImportPath string
	Dir        string
	Name       string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// rel is the import path within our modules, or "" for a package that is not ours.
func (p pkgInfo) rel() string {
	rest, ours := strings.CutPrefix(p.ImportPath, module)
	if !ours {
		return ""
	}
	return rest
}

func listPackages(t *testing.T) []pkgInfo {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-json=ImportPath,Dir,Name,Standard,GoFiles,Imports,Deps", "work")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkgInfo
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkgInfo
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
	return all
}

// A law says what the packages that match from must not import. Patterns are regular expressions over import paths, ours
// without the module prefix; a direct law looks at what a package itself imports, the others at any depth.
type law struct {
	name   string
	from   string
	except string
	never  string
	unless string
	direct bool
	why    string
}

const (
	io_ = `^(net|net/http|os/exec|database/sql)$`
	// Libraries of telemetry and ids import database/sql for types of theirs: what counts is who opens a database.
	rpc = `^google\.golang\.org/grpc(/|$)`
	sql = `^(modernc\.org/sqlite|github\.com/jackc/pgx|github\.com/pressly/goose|github\.com/XSAM/otelsql)(/|$)|^pkg/sqldb(/|$)`
	rds = `^github\.com/redis/`
	sdk = `^go\.opentelemetry\.io/otel/sdk(/|$)`
	gen = `^proto/gen/`
)

var laws = []law{
	{
		name: "the contract stands alone", from: `^proto/`, never: `^(pkg|services)/`,
		why: "who reads the contract should not take our code along",
	},
	{
		name: "services' contracts do not embed each other", direct: true,
		from:   `^proto/gen/go/narrowcast/(profile|segment|persona|campaign)/v1$`,
		never:  `^proto/gen/`,
		unless: `^proto/gen/go/narrowcast/type/v1$`,
		why:    "a service names another's resources by resource name (AIP-215)",
	},
	{
		name: "libraries know no service", from: `^pkg/`, never: `^services/`,
		why: "libraries are below services",
	},
	{
		name: "the kit has no business word", from: `^pkg/(fault|page|revision|rpc|run|config|keyring|sqldb|telemetry|testkit)(/|$)`,
		never: `^(pkg/audience|pkg/identity|pkg/population|pkg/client)(/|$)`,
		why:   "the kit has no opinions",
	},
	{
		name: "the kit does not know the contract", from: `^pkg/(fault|page|revision|rpc|run|config|keyring|sqldb|telemetry|testkit)(/|$)`,
		except: `^pkg/(page|revision)(/|$)`, never: gen,
		why: "only page and revision wrap what is inside tokens",
	},
	{
		name: "page and revision know only what is inside tokens", from: `^pkg/(page|revision)(/|$)`,
		never: gen, unless: `^proto/gen/go/narrowcast/token/v1$`,
		why: "the kit does not know the contract",
	},
	{
		name: "the engine is pure", from: `^pkg/audience(/rule|/region|/gate)?$`,
		never: join(io_, rpc, sql, rds, gen), unless: `^(net|net/url)$`,
		why: "an engine without I/O can be tested against its naive twin",
	},
	{
		name: "the engine imports only itself and fault", from: `^pkg/audience(/rule|/region|/gate)?$`, direct: true,
		never: `^(pkg|services|proto)/`, unless: `^pkg/(audience(/rule|/region)?|fault)$`,
		why: "an engine without I/O can be tested against its naive twin",
	},
	{
		name: "blocks know no contract", from: `^pkg/audience/blocks(/|$)`, never: join(gen, `^services/`),
		why: "manifest and refill arrive through an interface",
	},
	{
		name: "identity, job titles and population are pure", from: `^pkg/(identity|jobtitle|population)(/|$)`, never: join(rpc, sql, rds, gen),
		why: "they are tested against published vectors",
	},
	{
		name: "the client is light", from: `^pkg/client(/|$)`, never: join(`^pkg/audience`, `^services/`, sql, rds),
		why: "internal platforms import it",
	},
	{
		name: "nouns are pure", from: `^services/((profile|segment|persona|campaign)|profile/(behaviour|merging))$`, never: join(sql, rds, rpc, gen, sdk),
		why: "domain types are not wire types and do no I/O",
	},
	{
		name: "behaviour knows nouns and words only", from: `^services/profile/behaviour$`, direct: true,
		never: `^(pkg|services|proto)/`, unless: `^(services/profile|pkg/audience|pkg/fault)$`,
		why: "what is computed of a person is a function of their events",
	},
	{
		name: "drivers never look up", from: `^services/[a-z]+/internal/sqlstore(/|$)`,
		never: join(`^services/[a-z]+/(server|internal/rpc)(/|$)`, gen),
		why:   "a driver knows its nouns and its library",
	},
	{
		name: "transport knows no SQL", from: `^services/[a-z]+/internal/rpc(/|$)`, never: join(sql, `^services/[a-z]+/internal/sqlstore(/|$)`),
		why: "faults are translated in the driver",
	},
	{
		name: "only drivers open databases", from: `^(pkg|services)/`, except: `^(pkg/sqldb|services/[a-z]+/internal/sqlstore)(/|$)`, direct: true,
		never: `^database/sql$`,
		why:   "one place knows SQL",
	},
	{
		name: "the suite sees doors only", from: `^services/suite(/|$)`, direct: true,
		never: `^services/(profile|segment|persona|campaign)(/|$)`, unless: `^services/(profile|segment|persona|campaign)/server$`,
		why: "the door is the only importable wiring",
	},
	{
		name: "what services share knows no service", from: `^services/internal/`, never: `^services/(profile|segment|persona|campaign|suite)(/|$)`,
		why: "shared rooms are below the services",
	},
	{
		name: "test craft stays out of binaries", from: `.`, except: `(test|testkit)$|/blockstest(/|$)`, direct: true,
		never: `^(pkg|services)/.*(test|testkit)$`,
		why:   "non-test code must not depend on test helpers",
	},
}

func join(patterns ...string) string { return "(" + strings.Join(patterns, ")|(") + ")" }

func TestImportLaw(t *testing.T) {
	all := listPackages(t)
	ours := 0
	for _, p := range all {
		if p.rel() == "" {
			continue
		}
		ours++
		for _, l := range laws {
			if !match(l.from, p.rel()) || l.except != "" && match(l.except, p.rel()) {
				continue
			}
			seen := p.Deps
			if l.direct {
				seen = p.Imports
			}
			for _, dep := range seen {
				d := strings.TrimPrefix(dep, module)
				if match(l.never, d) && (l.unless == "" || !match(l.unless, d)) {
					t.Errorf("%s: %s imports %s: %s", l.name, p.rel(), d, l.why)
				}
			}
		}
		if err := neighbours(p); err != nil {
			t.Error(err)
		}
	}
	if ours < 20 {
		t.Fatalf("go list found %d of our packages: the law was not checked", ours)
	}
}

var service = regexp.MustCompile(`^services/(profile|segment|persona|campaign)(/|$)`)

// neighbours refuses a service that imports another: they talk through the contract only.
func neighbours(p pkgInfo) error {
	from := service.FindStringSubmatch(p.rel())
	if from == nil || strings.HasPrefix(p.rel(), "services/"+from[1]+"/cmd/") {
		return nil // a service's main is a row of the suite
	}
	for _, dep := range p.Deps {
		to := service.FindStringSubmatch(strings.TrimPrefix(dep, module))
		if to != nil && to[1] != from[1] {
			return fmt.Errorf("services never import each other: %s imports %s: neighbours talk through the contract only", p.rel(), dep)
		}
	}
	return nil
}

var compiled = map[string]*regexp.Regexp{}

func match(pattern, s string) bool {
	re := compiled[pattern]
	if re == nil {
		re = regexp.MustCompile(pattern)
		compiled[pattern] = re
	}
	return re.MatchString(s)
}

// TestOnlyDriversKnowTheDialect keeps SQL engines apart in one place: whoever else asked which one it is would have two ways to behave.
// Words for people and flags may name an engine, and the bench does where it starts servers of its own.
func TestOnlyDriversKnowTheDialect(t *testing.T) {
	const may = `^(pkg/sqldb|pkg/testkit|services/[a-z]+/internal/sqlstore|services/suite/internal/bench)(/|$)`
	looked := 0
	for _, p := range listPackages(t) {
		if p.rel() == "" || strings.HasPrefix(p.rel(), "proto/") || match(may, p.rel()) {
			continue
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			looked++
			for _, what := range dialects(f) {
				t.Errorf("%s: %s asks for the dialect by %s: leave that to package sqldb and the services' drivers", p.rel(), name, what)
			}
		}
	}
	if looked == 0 {
		t.Fatal("no file was looked at")
	}
	f, err := parser.ParseFile(token.NewFileSet(), "bad.go", "package x\nvar a, b, c = db.Dialect, sqldb.Postgres, d == \"sqlite\"\n", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := dialects(f); len(got) != 3 {
		t.Errorf("of three ways to ask it finds %v", got)
	}
}

// dialects returns what in a file tells one SQL engine from another.
func dialects(f *ast.File) (found []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if n.Sel.Name == "Dialect" || ok && x.Name == "sqldb" && (n.Sel.Name == "SQLite" || n.Sel.Name == "Postgres") {
				found = append(found, n.Sel.Name)
			}
		case *ast.BasicLit:
			if slices.Contains([]string{`"sqlite"`, `"sqlite3"`, `"postgres"`, `"postgresql"`, `"pgx"`}, n.Value) {
				found = append(found, n.Value)
			}
		}
		return true
	})
	return found
}

// TestPackageDoc holds every package to exactly one package comment, in doc.go (a program's may stand in main.go).
func TestPackageDoc(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.rel() == "" || strings.HasPrefix(p.rel(), "proto/") || len(p.GoFiles) == 0 {
			continue
		}
		var documented []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if hasDoc(f.Doc) {
				documented = append(documented, name)
			}
		}
		want := "doc.go"
		if p.Name == "main" && !slices.Contains(p.GoFiles, "doc.go") {
			want = "main.go"
		}
		if !slices.Equal(documented, []string{want}) {
			t.Errorf("%s: package comments in %v, want one, in %s", p.rel(), documented, want)
		}
	}
}

func hasDoc(doc *ast.CommentGroup) bool { return doc != nil && strings.TrimSpace(doc.Text()) != "" }

// TestFileLength keeps hand-written files readable.
func TestFileLength(t *testing.T) {
	const limit = 600
	for _, p := range listPackages(t) {
		if p.rel() == "" || strings.HasPrefix(p.rel(), "proto/") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if n := fset.Position(f.FileEnd).Line; n > limit && !generated(f) {
				t.Errorf("%s/%s has %d lines, more than %d: split it", p.rel(), filepath.Base(file), n, limit)
			}
		}
	}
}

func generated(f *ast.File) bool { return ast.IsGenerated(f) }
