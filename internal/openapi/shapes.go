// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"strings"

	"github.com/pb33f/go-yaml"
)

// What is copied of a document. The names are those of OpenAPI 2.0 and 3.x; where
// only one of them has a name, the other one gives it no meaning.

// methods are the operations of a path item, in the order of the standard.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// Extensions that this package reads.
const (
	scopesExtension  = "x-gluu-scopes"          // of an operation
	slashesExtension = "x-gluu-slashes"         // of a parameter
	azureExtension   = "x-ms-skip-url-encoding" // of a parameter: Azure's word for the same
)

var documentShape3 = shape{
	"openapi":    copyAll,
	"info":       copyInfo,
	"servers":    copyAll,
	"security":   copySecurity,
	"paths":      copyPaths,
	"components": copyComponents,
}

var documentShape2 = shape{
	"swagger":             copyAll,
	"info":                copyInfo,
	"basePath":            copyAll,
	"security":            copySecurity,
	"paths":               copyPaths,
	"securityDefinitions": copySchemes,
}

var operationShape = shape{
	"operationId":   copyAll,
	"parameters":    copyParameters,
	"security":      copySecurity,
	"servers":       copyAll,
	scopesExtension: copyAll,
}

var parameterShape = shape{
	"name": copyAll, "in": copyAll, "required": copyAll, "type": copyAll,
	"pattern": copyAll, "enum": copyAll, // 2.0
	"schema": copySchema, "allowReserved": copyAll, // 3.x
	slashesExtension: copyAll, azureExtension: copyAll,
}

var schemaShape = shape{"type": copyAll, "pattern": copyAll, "enum": copyAll, "const": copyAll}

var schemeShape = shape{
	"type": copyAll, "scheme": copyAll, "name": copyAll, "in": copyAll, "openIdConnectUrl": copyAll,
	"flows": copyFlows,                                                                       // 3.x
	"flow":  copyAll, "authorizationUrl": copyAll, "tokenUrl": copyAll, "scopes": copyScopes, // 2.0
}

// digest returns a copy of what matters for rules in a document, without references
// and aliases.
func (l *loader) digest(root *yaml.Node) (*yaml.Node, error) {
	s := documentShape3
	if l.swagger {
		s = documentShape2
	}
	out, err := l.copyObject(root, "the document", s)
	if err != nil {
		return nil, err
	}
	return &yaml.Node{Kind: yaml.DocumentNode, Line: 1, Column: 1, Content: []*yaml.Node{out}}, nil
}

// copyInfo leaves all of `info` out but its place.
func copyInfo(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyObject(node, what, shape{"title": copyAll, "version": copyAll})
}

func copyPaths(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyMap(node, what, copyPathItem)
}

func copyPathItem(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	node, err := l.resolve(node, "the path "+what)
	if err != nil {
		return nil, err
	}
	s := shape{"parameters": copyParameters, "servers": copyAll}
	for _, method := range l.methods() {
		s[method] = copyOperation
	}
	return l.copyObject(node, "the path "+what, s)
}

func copyOperation(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	node, err := l.resolve(node, what)
	if err != nil {
		return nil, err
	}
	return l.copyObject(node, what, operationShape)
}

func copyParameters(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyList(node, what, copyParameter)
}

// copyParameter copies a parameter of the path and leaves all others out.
func copyParameter(l *loader, node *yaml.Node, _ string) (*yaml.Node, error) {
	node, err := l.resolve(node, "a parameter")
	if err != nil {
		return nil, err
	}
	if in := member(node, "in"); in == nil || in.Value != "path" {
		return nil, nil
	}
	return l.copyObject(node, "a parameter", parameterShape)
}

func copySchema(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	node, err := l.resolve(node, what)
	if err != nil {
		return nil, err
	}
	return l.copyObject(node, what, schemaShape)
}

func copyComponents(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyObject(node, what, shape{"securitySchemes": copySchemes})
}

func copySchemes(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	pairs, err := l.fields(node, what)
	if err != nil {
		return nil, err
	}
	out := l.mapping(follow(node))
	for _, p := range pairs {
		value, err := l.resolve(p.value, "the security scheme "+p.key.Value)
		if err == nil {
			value, err = l.copyObject(value, "the security scheme "+p.key.Value, schemeShape)
		}
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, p.key, value)
	}
	return out, nil
}

func copyFlows(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyMap(node, what, func(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
		return l.copyObject(node, what, shape{"authorizationUrl": copyAll, "tokenUrl": copyAll, "refreshUrl": copyAll, "scopes": copyScopes})
	})
}

// copyScopes copies the scopes of a flow, all of which are names, also those that
// look like an extension.
func copyScopes(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	if isNull(follow(node)) {
		return l.mapping(node), nil
	}
	pairs, err := l.fields(node, what)
	if err != nil {
		return nil, err
	}
	out := l.mapping(follow(node))
	for _, p := range pairs {
		if l.swagger && strings.HasPrefix(p.key.Value, "x-") {
			continue
		}
		out.Content = append(out.Content, p.key, l.like(p.key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}))
	}
	return out, nil
}

// copySecurity copies a list of security requirements. A library that reads a wrong
// one as an empty one would open the operation.
func copySecurity(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	return l.copyList(node, what, func(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
		pairs, err := l.fields(node, "a requirement in "+what)
		if err != nil {
			return nil, err
		}
		out := l.mapping(follow(node))
		for _, p := range pairs {
			scopes, err := l.copyList(p.value, fmt.Sprintf("%q in %s", p.key.Value, what), copyText)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, p.key, scopes)
		}
		return out, nil
	})
}

// copyText copies a text that is not empty.
func copyText(l *loader, node *yaml.Node, what string) (*yaml.Node, error) {
	if text := follow(node); text != nil && text.Kind == yaml.ScalarNode && text.Tag != "!!null" && text.Value != "" {
		return copyAll(l, text, what)
	}
	return nil, l.errorAt(node, "write the name of a scope", "an element of %s is not a text", what)
}
