// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Operations is the OpenAPI document of an API as the source of the names of its
// operations, for a handler that does not decide by the document's security.
type Operations struct {
	// The document: OpenAPI 2.0, 3.0 or 3.1 in YAML or JSON. It is read when the
	// configuration loads. It may refer to files in its folder and below; nothing
	// is ever fetched from a network.
	File string `json:"file"`

	// What precedes the paths of the document in the path that the upstream
	// receives: a path, `servers` for what the servers of the document say, which
	// must agree, or `none`. Default: `servers`.
	BasePath string `json:"base_path,omitempty"`

	// Read the document again whenever it or a file that it refers to changes. A
	// document with a mistake is logged, and the last good one stays in force.
	// Default: false.
	Watch bool `json:"watch,omitempty"`
}

func (o *Operations) options() openapi.Options {
	return openapi.Options{BasePath: o.BasePath, OperationsOnly: true}
}

// UnmarshalOperations reads the subdirective that names an OpenAPI document for its
// operations, relative to the Caddyfile. Syntax:
//
//	openapi <file> {
//		base_path <path>|servers|none
//		watch [true|false]
//	}
func UnmarshalOperations(d *caddyfile.Dispenser) (*Operations, error) {
	o, at := new(Operations), directive.At(d.Token())
	var err error
	if o.File, err = directive.String(d); err == nil {
		o.File, err = directive.Beside(d, o.File)
	}
	if err != nil {
		return nil, err
	}
	var once directive.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return nil, err
		}
		if err := o.unmarshalOption(d); err != nil {
			return nil, err
		}
	}
	if _, err := o.load(); err != nil {
		return nil, at.WrapErr(err)
	}
	return o, nil
}

func (o *Operations) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "base_path":
		if err = directive.SetString(d, &o.BasePath); err == nil {
			options := o.options()
			if wrong := options.Check(); wrong != nil {
				err = d.WrapErr(wrong)
			}
		}
	case "watch":
		o.Watch, err = directive.Flag(d)
	case "security_scheme", "unlisted", "prefix":
		err = d.Errf("%s has no effect: the policy decides, and not the security of the document; leave it out", d.Val())
	default:
		err = directive.Unknown(d, "openapi", "base_path", "watch")
	}
	return err
}

func (o *Operations) load() (*openapi.API, error) {
	if o.File == "" {
		return nil, errors.New("openapi has no file: write 'openapi <file>'")
	}
	api, err := openapi.Load(o.File, o.options())
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return api, nil
}

// Finder finds the operation that a request is.
type Finder struct {
	metrics *identity.Metrics // nil on the command line
	current atomic.Pointer[operations]
}

// operations are those of one version of a document.
type operations struct {
	policy *scopeexpr.Policy
	counts []atomic.Pointer[prometheus.Counter]
}

// NewFinder reads the document, without a gateway that watches it and counts.
func NewFinder(o *Operations) (*Finder, error) {
	f := new(Finder)
	api, err := o.load()
	if err == nil {
		err = f.use(api)
	}
	return f, err
}

// NewFinder reads the document for this handler, and watches it if that is wanted.
func (g *Gate) NewFinder(ctx caddy.Context, o *Operations) (*Finder, error) {
	api, err := o.load()
	if err != nil {
		return nil, err
	}
	f := &Finder{metrics: g.answerer.Metrics}
	if err := f.use(api); err != nil {
		return nil, err
	}
	warnOfDocument(ctx.Logger(), api)
	if o.Watch {
		w := &documentWatch{
			file: o.File, watcher: openapi.NewWatcher(api, o.File, o.options()), logger: ctx.Logger(), use: f.use,
			done: "the operations of the changed OpenAPI document are known",
		}
		g.app.Background(w.run)
	}
	return f, nil
}

func (f *Finder) use(api *openapi.API) error {
	policy, err := api.Document.Compile(scopeexpr.Options{})
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	f.current.Store(&operations{policy, make([]atomic.Pointer[prometheus.Counter], policy.NumRules())})
	return nil
}

// Note finds the operation of a request, counts it and notes it as part of the
// identity, with its pattern as the rule. What a handler before this one has noted is
// gone, also if the request is none of these operations: a rule of one document beside
// an operation of another would mislead whatever decides by both. The error says that
// the operation is unknown: the caller must refuse the request.
func (f *Finder) Note(id *identity.Identity, method, path string) error {
	current := f.current.Load()
	rule, err := current.policy.Lookup(method, path)
	id.Rule, id.Operation, id.Pattern, id.RulePath = "", "", nil, ""
	if err != nil || rule == nil || rule.Operation() == "" {
		return err
	}
	f.count(current, rule)
	id.Rule, id.Operation = rule.Pattern(), rule.Operation()
	id.Pattern, id.RulePath = rule.PathPattern(), path
	return nil
}

func (f *Finder) count(current *operations, rule *scopeexpr.Rule) {
	if f.metrics == nil {
		return
	}
	keptOr(&current.counts[rule.Index()], func() prometheus.Counter { return f.metrics.Operation(rule.Operation()) }).Inc()
}

// Quiet returns the finder without its records.
func (f *Finder) Quiet() *Finder {
	quiet := new(Finder)
	quiet.current.Store(f.current.Load())
	return quiet
}
