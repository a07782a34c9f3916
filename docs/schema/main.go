// SPDX-License-Identifier: Apache-2.0

// Command schema writes the JSON schema of all modules of the gateway to
// gluu-gateway.schema.json beside it, and the texts about options of handlers for the
// pages of gluu_ui: `make schema`. The schema comes from the Go
// types of the modules, the descriptions from their comments.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	text, err := Generate(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "docs", "schema", File), text, 0o644)
	}
	if err == nil {
		text, err = Reference(root)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, ReferenceFile), text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
