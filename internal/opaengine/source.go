// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// source is what policies are compiled of: all files, or one bundle.
type source struct {
	name     string // "" for files
	modules  map[string]*ast.Module
	data     map[string]any
	roots    []string // of a bundle; nil for files
	revision string
	legacy   []string // files in the syntax of OPA 0.x
}

// file is one that was read.
type file struct {
	name    string
	content []byte
}

// maxFile bounds the size of a file of policies or data.
const maxFile = 64 << 20

// readFiles reads the files that the patterns match, each once and in order. Tests
// of policies are left out: OPA's tools run those.
func readFiles(patterns []string) ([]file, error) {
	var names []string
	for _, pattern := range patterns {
		matches, err := expand(pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, matches...)
	}
	slices.Sort(names)
	files := make([]file, 0, len(names))
	for _, name := range slices.Compact(names) {
		content, err := readFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content})
	}
	return files, nil
}

func expand(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}, nil
	}
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("policy %q is not a pattern: %w", pattern, err)
	}
	matches = slices.DeleteFunc(matches, func(name string) bool { return !isPolicyFile(name) || isTestFile(name) })
	if len(matches) == 0 {
		return nil, fmt.Errorf("policy %q matches no file that ends with .rego, .json, .yaml or .yml", pattern)
	}
	return matches, nil
}

func isPolicyFile(name string) bool {
	return slices.Contains([]string{".rego", ".json", ".yaml", ".yml"}, filepath.Ext(name))
}

func isTestFile(name string) bool { return strings.HasSuffix(name, "_test.rego") }

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("policy: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("policy %q is a folder: write '%s/*.rego'", name, strings.TrimSuffix(name, "/"))
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fmt.Errorf("policy %q is not a regular file of at most %d MiB", name, maxFile>>20)
	case !isPolicyFile(name):
		return nil, fmt.Errorf("policy %q is not a file of policies or data: its name ends with .rego, .json, .yaml or .yml", name)
	}
	return os.ReadFile(name)
}

// revisionOf names the content of files.
func revisionOf(files []file) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n", f.name, len(f.content))
		h.Write(f.content)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// parseFiles parses policies and joins data. Data is at the root, wherever its
// file is.
func parseFiles(files []file) (*source, error) {
	s := &source{modules: map[string]*ast.Module{}, data: map[string]any{}, revision: revisionOf(files)}
	for _, f := range files {
		if filepath.Ext(f.name) == ".rego" {
			module, legacy, err := parseModule(f.name, string(f.content))
			if err != nil {
				return nil, err
			}
			if s.modules[f.name] = module; legacy {
				s.legacy = append(s.legacy, f.name)
			}
			continue
		}
		var data map[string]any
		if err := util.Unmarshal(f.content, &data); err != nil {
			return nil, fmt.Errorf("policy %s: not an object of JSON or YAML: %w", f.name, err)
		}
		if err := join(s.data, data, ""); err != nil {
			return nil, fmt.Errorf("policy %s: %w", f.name, err)
		}
	}
	return s, nil
}

// join adds data to other data. Two files cannot both say what one thing is.
func join(into, from map[string]any, at string) error {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		path := at + "/" + name
		existing, ok := into[name]
		if !ok {
			into[name] = from[name]
			continue
		}
		a, isObject := existing.(map[string]any)
		b, bothObjects := from[name].(map[string]any)
		if !isObject || !bothObjects {
			return fmt.Errorf("data %q is also in another file", path)
		}
		if err := join(a, b, path); err != nil {
			return err
		}
	}
	return nil
}

// parseModule parses a policy, as Rego v1 if it is that, else as the older v0. It
// reports whether it is.
func parseModule(name, text string) (module *ast.Module, legacy bool, err error) {
	module, err = ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err == nil {
		return module, false, nil
	}
	old, oldErr := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV0})
	if oldErr == nil {
		return old, true, nil
	}
	if isOldSyntax(err) && oldErr != nil {
		err = oldErr
	}
	return nil, false, describe(err)
}

// isOldSyntax reports whether a policy fails as Rego v1 by nothing but the keywords
// that v0 does not have.
func isOldSyntax(err error) bool {
	errs, ok := errors.AsType[ast.Errors](err)
	if !ok {
		return false
	}
	return !slices.ContainsFunc(errs, func(e *ast.Error) bool {
		return !strings.Contains(e.Message, "`if` keyword is required") && !strings.Contains(e.Message, "`contains` keyword is required")
	})
}

// maxDescribed is how many errors of a compiler one message has.
const maxDescribed = 5

// describe writes the errors of OPA's compiler in one line, with file and line.
func describe(err error) error {
	errs, ok := errors.AsType[ast.Errors](err)
	if !ok {
		return err
	}
	var messages []string
	for i, e := range errs {
		if i == maxDescribed {
			messages = append(messages, fmt.Sprintf("and %d more errors", len(errs)-i))
			break
		}
		message := e.Message + hintFor(e.Message)
		if e.Location != nil && e.Location.File != "" {
			message = fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, message)
		}
		messages = append(messages, message)
	}
	return errors.New(strings.Join(messages, "; "))
}
