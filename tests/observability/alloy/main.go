// Reads Alloy configurations as Alloy does, and tells whether `alloy fmt` would leave them as they are. It knows the language and
// not the components: those are a program of their own.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/printer"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) error {
	written, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(path, written)
	if err != nil {
		return err
	}
	var formatted bytes.Buffer
	if err := printer.Fprint(&formatted, file); err != nil {
		return err
	}
	formatted.WriteByte('\n')
	if os.Getenv("UPDATE_GENERATED") != "" {
		return os.WriteFile(path, formatted.Bytes(), 0o644)
	}
	if !bytes.Equal(written, formatted.Bytes()) {
		return fmt.Errorf("not as `alloy fmt` writes it; UPDATE_GENERATED=1 writes it so")
	}
	return nil
}
