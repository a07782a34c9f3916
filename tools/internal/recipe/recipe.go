// SPDX-License-Identifier: Apache-2.0

// Package recipe reads xcaddy.json, which says what a gateway is built of, and checks
// that a binary holds what go.mod pins.
package recipe

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/xcaddy"
	"golang.org/x/mod/modfile"
)

// Load reads an xcaddy.Builder. Replacements that point into the repository are
// made to point below root, because xcaddy builds in a folder of its own.
func Load(file, root string) (xcaddy.Builder, error) {
	var builder xcaddy.Builder
	content, err := os.ReadFile(file)
	if err != nil {
		return builder, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&builder); err != nil {
		return builder, fmt.Errorf("reading %s: %w", file, err)
	}
	for i, replacement := range builder.Replacements {
		if target := replacement.New.String(); target == "." || strings.HasPrefix(target, "./") || strings.HasPrefix(target, "../") {
			builder.Replacements[i] = xcaddy.NewReplace(replacement.Old.String(), filepath.Join(root, target))
		}
	}
	return builder, nil
}

// CheckVersions refuses a binary that holds another version of a module than
// a go.mod pins: what was tested would not be what is shipped.
func CheckVersions(gomod, binary string) error {
	content, err := os.ReadFile(gomod)
	if err != nil {
		return err
	}
	pinned, err := modfile.ParseLax(gomod, content, nil)
	if err != nil {
		return err
	}
	want := make(map[string]string, len(pinned.Require))
	for _, requirement := range pinned.Require {
		want[requirement.Mod.Path] = requirement.Mod.Version
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what is in %s: %w", binary, err)
	}
	var differing []string
	for _, dep := range info.Deps {
		if version, ok := want[dep.Path]; ok && version != dep.Version {
			differing = append(differing, fmt.Sprintf("  %s is %s in the binary, %s in go.mod", dep.Path, dep.Version, version))
		}
	}
	if len(differing) > 0 {
		return fmt.Errorf("a plugin raises modules beyond what is tested here:\n%s\nraise them in go.mod too (go get MODULE@VERSION)", strings.Join(differing, "\n"))
	}
	return nil
}
