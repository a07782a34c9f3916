// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"
)

const hintBasePath = "write base_path with the path that precedes them at this gateway, or none"

// basePath returns what precedes the paths of an operation, without a trailing
// slash.
func (l *loader) basePath(a *api, op *operation) (string, error) {
	switch l.opts.BasePath {
	case "", Servers:
	case None:
		return "", nil
	default:
		return strings.TrimSuffix(l.opts.BasePath, "/"), nil
	}
	if l.swagger {
		return l.plainPath(a.basePath.value, a.basePath.node)
	}
	servers := op.servers
	if servers == nil {
		servers = a.servers
	}
	var base string
	for i, server := range servers {
		path, err := l.serverPath(server)
		if err != nil {
			return "", err
		}
		if i > 0 && path != base {
			return "", l.errorAt(server.url.node, hintBasePath, "the servers have different paths, %q and %q", base, path)
		}
		base = path
	}
	return base, nil
}

// serverPath returns the path of a server, which must not depend on its variables.
func (l *loader) serverPath(s server) (string, error) {
	var base string
	for i, address := range s.addresses() {
		u, err := url.Parse(address)
		if err != nil {
			return "", l.errorAt(s.url.node, hintBasePath, "the address of the server is not a URL: %v", err)
		}
		if u.Host == "" && u.Path != "" && !strings.HasPrefix(u.Path, "/") {
			return "", l.errorAt(s.url.node, hintBasePath, "the address %q of the server is relative to where the document is published", s.url.value)
		}
		path, err := l.plainPath(u.Path, s.url.node)
		if err != nil {
			return "", err
		}
		if i > 0 && path != base {
			return "", l.errorAt(s.url.node, hintBasePath, "the path of the server depends on its variables: %q or %q", base, path)
		}
		base = path
	}
	return base, nil
}

// maxAddresses bounds the combinations of variables that are compared.
const maxAddresses = 1000

// addresses returns the address of a server for each combination of its variables.
func (s server) addresses() []string {
	all := []string{s.url.value}
	names := make([]string, 0, len(s.variables))
	for name := range s.variables {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var next []string
		for _, address := range all {
			if !strings.Contains(address, "{"+name+"}") {
				next = append(next, address)
				continue
			}
			for _, value := range s.variables[name] {
				next = append(next, strings.ReplaceAll(address, "{"+name+"}", value))
			}
		}
		if all = next; len(all) > maxAddresses {
			break // those that remain have braces in their path, which is refused
		}
	}
	return all
}

// plainPath checks a path that rules begin with.
func (l *loader) plainPath(path string, node *yaml.Node) (string, error) {
	path = strings.TrimSuffix(path, "/")
	switch {
	case path == "":
		return "", nil
	case !strings.HasPrefix(path, "/"):
		return "", l.errorAt(node, hintBasePath, "the base path %q does not start with a slash", path)
	case strings.ContainsAny(path, "{}?#*") || strings.Contains(path, "//"):
		return "", l.errorAt(node, hintBasePath, "the base path %q is not a plain path", path)
	}
	return path, nil
}
