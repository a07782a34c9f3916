// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/pb33f/go-yaml"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// API is what a document says about the rules of an API.
type API struct {
	// Document has a rule for each operation, and one that denies each path whose last
	// parameter is empty.
	Document scopeexpr.Document

	// Operations are all operations, in the order of the document.
	Operations []Operation

	// Warnings are about what was probably not meant.
	Warnings []*Error

	// Files are the document and the files beside it that it refers to.
	Files []string

	// Digest identifies the content of all files.
	Digest [sha256.Size]byte
}

// Operation is an operation of the document.
type Operation struct {
	Name    string // its operationId, else its method and path
	Method  string
	Path    string // as the document writes it
	Pattern string // as the rule writes it
	File    string
	Line    int
	Denied  bool // it has no security, and Options.Unlisted says so
}

// Load reads a document. The error about its content is an *Error.
func Load(file string, opts Options) (*API, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	name, err := directive.Resolve(file)
	if err != nil {
		return nil, err
	}
	l := &loader{
		opts: opts, budget: maxNodes,
		files: make(map[string]*yaml.Node), contents: make(map[string][]byte), origins: make(map[*yaml.Node]string),
	}
	root, err := l.open(name)
	if l.folder != nil {
		defer func() { _ = l.folder.Close() }()
	}
	if err != nil {
		return nil, err
	}
	if err := l.readVersion(root); err != nil {
		return nil, err
	}
	digest, err := l.digest(root)
	if err != nil {
		return nil, err
	}
	model, err := l.build(digest)
	if err != nil {
		return nil, err
	}
	if err := l.checkSchemes(model); err != nil {
		return nil, err
	}
	api, err := l.rules(model)
	if err != nil {
		return nil, err
	}
	api.Warnings, api.Files, api.Digest = l.warnings, l.names(), l.sum()
	return api, nil
}

// readVersion finds out which version of the specification a document follows.
func (l *loader) readVersion(root *yaml.Node) error {
	swagger, openapi := member(root, "swagger"), member(root, "openapi")
	const supported = "2.0, 3.0.x and 3.1.x are supported"
	switch {
	case swagger != nil && openapi != nil:
		return l.errorAt(openapi, "keep one of the two", "the document has both swagger and openapi")
	case swagger != nil && swagger.Value == "2.0":
		l.swagger, l.version = true, swagger.Value
	case swagger != nil:
		return l.errorAt(swagger, supported, "the version %q is not supported", swagger.Value)
	case openapi == nil:
		return l.errorAt(root, "write openapi: 3.1.0, for example", "this is not an OpenAPI document")
	case strings.HasPrefix(openapi.Value, "3.0."), strings.HasPrefix(openapi.Value, "3.1."):
		l.version = openapi.Value
	default:
		return l.errorAt(openapi, supported, "the version %q is not supported", openapi.Value)
	}
	return nil
}

// sum returns a digest of all files that were read.
func (l *loader) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, file := range l.names() {
		writePart(h, file)
		for name, content := range l.contents {
			if l.display(name) == file {
				writePart(h, string(content))
			}
		}
	}
	h.Sum(sum[:0])
	return sum
}

func writePart(h hash.Hash, part string) {
	_, _ = fmt.Fprintf(h, "%d:", len(part))
	_, _ = io.WriteString(h, part)
}

// rules makes a rule of each operation.
func (l *loader) rules(a *api) (*API, error) {
	b := builder{api: &API{}, rules: make(map[string]int), seen: make(map[string]*operation), names: make(map[string]*operation)}
	for _, op := range a.operations {
		pattern, requirement, err := l.rule(a, op)
		if err == nil {
			err = b.add(l, op, pattern, requirement)
		}
		if err != nil {
			return nil, about(op, err)
		}
	}
	b.denyEmptyParameters()
	return b.api, b.check(l)
}
