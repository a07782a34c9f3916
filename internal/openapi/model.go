// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/libopenapi/datamodel"
	"github.com/pb33f/libopenapi/datamodel/low"
	v2 "github.com/pb33f/libopenapi/datamodel/low/v2"
	v3 "github.com/pb33f/libopenapi/datamodel/low/v3"
	"github.com/pb33f/libopenapi/orderedmap"
)

// api is what rules need of a document of either version.
type api struct {
	basePath   text     // 2.0
	servers    []server // 3.x
	security   security
	schemes    map[string]scheme
	operations []*operation
}

// text is a value with its place.
type text struct {
	value string
	node  *yaml.Node
}

type operation struct {
	name     string // its operationId, else its method and path
	method   string // in upper case
	template string
	node     *yaml.Node // where the operation is
	params   []parameter
	security security
	servers  []server   // its own or those of its path
	scopes   *yaml.Node // x-gluu-scopes, nil if there is none
}

type parameter struct {
	name    string
	node    *yaml.Node
	pattern text
	enum    []*yaml.Node
	slashes bool // its value may contain slashes
}

// security is a list of alternatives. One that is absent is nil.
type security struct {
	node         *yaml.Node
	alternatives []alternative
}

type alternative []need // all of them; none makes authentication optional

type need struct {
	scheme text
	scopes []text
}

type scheme struct {
	node     *yaml.Node
	kind     string // oauth2, openIdConnect, http, apiKey, mutualTLS, basic
	http     string // the authentication scheme of kind http
	declared map[string]bool
}

type server struct {
	url       text
	variables map[string][]string // the values that each can have
}

// build has the library make its model of a digest.
func (l *loader) build(digest *yaml.Node) (*api, error) {
	config := datamodel.NewDocumentConfiguration()
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	config.SkipCircularReferenceCheck = true // there are no references left
	config.SkipExternalRefResolution = true
	config.SkipMetadataCollection = true
	content := []byte{}
	info := &datamodel.SpecInfo{RootNode: digest, SpecBytes: &content, Version: l.version}
	if l.swagger {
		info.SpecType, info.SpecFormat = "swagger", datamodel.OAS2
		document, err := v2.CreateDocumentFromConfig(info, config)
		if err != nil {
			return nil, l.modelError(err)
		}
		return l.complete(digest, l.swagger2(document))
	}
	info.SpecType, info.SpecFormat = "openapi", datamodel.OAS31
	document, err := v3.CreateDocumentFromConfig(info, config)
	if err != nil {
		return nil, l.modelError(err)
	}
	return l.complete(digest, l.openapi3(document))
}

func (l *loader) modelError(err error) error {
	return &Error{File: l.main, Reason: strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// complete adds the security of each operation, and makes sure that the model has
// every operation of the document. One that the library passed over silently would
// have no rule.
func (l *loader) complete(digest *yaml.Node, a *api) (*api, error) {
	root := digest.Content[0]
	a.security = securityOf(root)
	paths := member(root, "paths")
	if isNull(paths) || len(paths.Content) == 0 {
		return nil, l.errorAt(root, "write the operations of the API into paths", "the document has no paths")
	}
	nodes := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(paths.Content); i += 2 {
		item := paths.Content[i+1]
		for j := 0; j+1 < len(item.Content); j += 2 {
			if method := item.Content[j].Value; slices.Contains(l.methods(), method) {
				nodes[strings.ToUpper(method)+" "+paths.Content[i].Value] = item.Content[j+1]
			}
		}
	}
	for _, op := range a.operations {
		node := nodes[op.method+" "+op.template]
		if node == nil {
			return nil, l.errorAt(op.node, "", "the operation %s %q is not in the document", op.method, op.template)
		}
		op.security, op.scopes = securityOf(node), member(node, scopesExtension)
	}
	switch {
	case len(nodes) != len(a.operations):
		return nil, &Error{File: l.main, Reason: fmt.Sprintf("%d of %d operations could not be read", len(nodes)-len(a.operations), len(nodes))}
	case len(nodes) == 0:
		return nil, l.errorAt(paths, "write the operations of the API into paths", "the document has no operations")
	}
	return a, nil
}

// methods are those that the version of the document knows.
func (l *loader) methods() []string {
	if l.swagger {
		return methods[:len(methods)-1] // without trace
	}
	return methods
}

func (l *loader) openapi3(document *v3.Document) *api {
	a := &api{servers: servers3(document.Servers.Value), schemes: make(map[string]scheme)}
	if components := document.Components.Value; components != nil {
		for name, s := range components.SecuritySchemes.Value.FromOldest() {
			a.schemes[name.Value] = scheme3(s.Value, name.KeyNode)
		}
	}
	if document.Paths.Value == nil {
		return a
	}
	for path, item := range document.Paths.Value.PathItems.FromOldest() {
		i := item.Value
		common := parameters3(i.Parameters.Value)
		for m, o := range []low.NodeReference[*v3.Operation]{i.Get, i.Put, i.Post, i.Delete, i.Options, i.Head, i.Patch, i.Trace} {
			if o.Value == nil {
				continue
			}
			op := newOperation(path.Value, methods[m], o.KeyNode, o.Value.OperationId.Value)
			op.params = merge(parameters3(o.Value.Parameters.Value), common)
			if op.servers = servers3(o.Value.Servers.Value); op.servers == nil {
				op.servers = servers3(i.Servers.Value)
			}
			a.operations = append(a.operations, op)
		}
	}
	return a
}

func (l *loader) swagger2(document *v2.Swagger) *api {
	a := &api{
		basePath: text{document.BasePath.Value, document.BasePath.ValueNode},
		schemes:  make(map[string]scheme),
	}
	if definitions := document.SecurityDefinitions.Value; definitions != nil {
		for name, s := range definitions.Definitions.FromOldest() {
			out := scheme{node: name.KeyNode, kind: s.Value.Type.Value, declared: make(map[string]bool)}
			if scopes := s.Value.Scopes.Value; scopes != nil {
				declare(out.declared, scopes.Values)
			}
			a.schemes[name.Value] = out
		}
	}
	if document.Paths.Value == nil {
		return a
	}
	for path, item := range document.Paths.Value.PathItems.FromOldest() {
		i := item.Value
		common := parameters2(i.Parameters.Value)
		for m, o := range []low.NodeReference[*v2.Operation]{i.Get, i.Put, i.Post, i.Delete, i.Options, i.Head, i.Patch} {
			if o.Value == nil {
				continue
			}
			op := newOperation(path.Value, methods[m], o.KeyNode, o.Value.OperationId.Value)
			op.params = merge(parameters2(o.Value.Parameters.Value), common)
			a.operations = append(a.operations, op)
		}
	}
	return a
}

func newOperation(template, method string, node *yaml.Node, id string) *operation {
	op := &operation{name: id, method: strings.ToUpper(method), template: template, node: node}
	if op.name == "" {
		op.name = op.method + " " + template
	}
	return op
}

// merge adds the parameters of a path to those of an operation, which win.
func merge(own, common []parameter) []parameter {
	for _, p := range common {
		if find(own, p.name) == nil {
			own = append(own, p)
		}
	}
	return own
}

func find(params []parameter, name string) *parameter {
	for i := range params {
		if params[i].name == name {
			return &params[i]
		}
	}
	return nil
}

func parameters3(list []low.ValueReference[*v3.Parameter]) []parameter {
	var params []parameter
	for _, p := range list {
		out := parameter{name: p.Value.Name.Value, node: p.Value.RootNode, slashes: p.Value.AllowReserved.Value || allowsSlashes(p.Value.Extensions)}
		if proxy := p.Value.Schema.Value; proxy != nil {
			if schema := proxy.Schema(); schema != nil {
				out.pattern, out.enum = text{schema.Pattern.Value, schema.Pattern.ValueNode}, values(schema.Enum.Value)
				if schema.Const.Value != nil {
					out.enum = []*yaml.Node{schema.Const.Value}
				}
			}
		}
		params = append(params, out)
	}
	return params
}

func parameters2(list []low.ValueReference[*v2.Parameter]) []parameter {
	var params []parameter
	for _, p := range list {
		params = append(params, parameter{
			name: p.Value.Name.Value, node: p.ValueNode, slashes: allowsSlashes(p.Value.Extensions),
			pattern: text{p.Value.Pattern.Value, p.Value.Pattern.ValueNode}, enum: values(p.Value.Enum.Value),
		})
	}
	return params
}

func values(list []low.ValueReference[*yaml.Node]) []*yaml.Node {
	var nodes []*yaml.Node
	for _, v := range list {
		nodes = append(nodes, v.Value)
	}
	return nodes
}

type extensions = *orderedmap.Map[low.KeyReference[string], low.ValueReference[*yaml.Node]]

func allowsSlashes(all extensions) bool {
	for _, name := range []string{slashesExtension, azureExtension} {
		if node := extension(all, name); node != nil && node.Value == "true" {
			return true
		}
	}
	return false
}

func extension(all extensions, name string) *yaml.Node {
	if found := low.FindItemInOrderedMap(name, all); found != nil {
		return found.Value
	}
	return nil
}

// securityOf reads the security of a digest's object. The model of the library does
// not tell an empty list from none in every version.
func securityOf(object *yaml.Node) security {
	list := member(object, "security")
	if list == nil {
		return security{}
	}
	s := security{node: list}
	for _, requirement := range list.Content {
		a := alternative{}
		for i := 0; i+1 < len(requirement.Content); i += 2 {
			n := need{scheme: text{requirement.Content[i].Value, requirement.Content[i]}}
			for _, scope := range requirement.Content[i+1].Content {
				n.scopes = append(n.scopes, text{scope.Value, scope})
			}
			a = append(a, n)
		}
		s.alternatives = append(s.alternatives, a)
	}
	return s
}

func scheme3(s *v3.SecurityScheme, node *yaml.Node) scheme {
	out := scheme{node: node, kind: s.Type.Value, http: strings.ToLower(s.Scheme.Value), declared: make(map[string]bool)}
	if flows := s.Flows.Value; flows != nil {
		for _, flow := range []*v3.OAuthFlow{flows.Implicit.Value, flows.Password.Value, flows.ClientCredentials.Value, flows.AuthorizationCode.Value, flows.Device.Value} {
			if flow != nil {
				declare(out.declared, flow.Scopes.Value)
			}
		}
	}
	return out
}

func declare(declared map[string]bool, scopes *orderedmap.Map[low.KeyReference[string], low.ValueReference[string]]) {
	for name := range scopes.KeysFromOldest() {
		declared[name.Value] = true
	}
}

func servers3(list []low.ValueReference[*v3.Server]) []server {
	var servers []server
	for _, s := range list {
		out := server{url: text{s.Value.URL.Value, s.Value.URL.ValueNode}, variables: make(map[string][]string)}
		for name, variable := range s.Value.Variables.Value.FromOldest() {
			all := []string{variable.Value.Default.Value}
			for _, value := range variable.Value.Enum {
				all = append(all, value.Value)
			}
			out.variables[name.Value] = all
		}
		servers = append(servers, out)
	}
	return servers
}
