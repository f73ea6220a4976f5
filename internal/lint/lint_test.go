package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pure lists the packages in which every protocol is a value with a step.
var pure = []string{"membership", "routing", "site/ring", "site/seal", "site/merge", "site/core", "internal/wire", "internal/window", "internal/spread"}

// impure are imports that bring goroutines, locks, clocks, chance or the outside.
var impure = []string{"sync", "sync/atomic", "net", "os", "math/rand", "math/rand/v2", "crypto/rand", "context", "syscall", "log", "log/slog"}

// clocks are the functions of package time that read a clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

const maxLines = 600

const root = "../.."

func TestPurePackagesArePure(t *testing.T) {
	for _, dir := range pure {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no Go files (%v)", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, fault := range faults(t, file) {
				t.Error(fault)
			}
		}
	}
}

// faults returns what in the file does not belong into a pure package.
func faults(t *testing.T, file string) []string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	report := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s: %s in a pure package", set.Position(n.Pos()), what))
	}
	for _, imp := range parsed.Imports {
		if path := strings.Trim(imp.Path.Value, `"`); slices.Contains(impure, path) {
			report(imp, "import of "+path)
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "goroutine")
		case *ast.ChanType:
			report(n, "channel")
		case *ast.SelectStmt:
			report(n, "select")
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				report(n, "time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

func TestPackagesHaveADocFile(t *testing.T) {
	for dir, files := range packages(t) {
		if strings.HasPrefix(dir, "examples") || slices.Contains(files, "doc.go") {
			continue
		}
		t.Errorf("%s: no doc.go that says what the package is", dir)
	}
}

func TestFilesStayReadable(t *testing.T) {
	for dir, files := range packages(t) {
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(root, dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(data), "\n"); n > maxLines {
				t.Errorf("%s/%s: %d lines, at most %d: one idea a file", dir, file, n, maxLines)
			}
		}
	}
}

// packages returns the Go files, tests included, of every folder of the module.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], entry.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
