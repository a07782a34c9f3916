// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/internal/policytool"
)

// A pepHandler is a handler with a policy in a configuration.
type pepHandler struct {
	Handler         string          `json:"handler"`
	OAuthExpression json.RawMessage `json:"oauth_scope_expression"`
	OAuthFile       string          `json:"oauth_scope_expression_file"`
	UMAExpression   json.RawMessage `json:"uma_scope_expression"`
	UMAFile         string          `json:"uma_scope_expression_file"`
	DenyByDefault   *bool           `json:"deny_by_default"`
	AmbiguousPaths  string          `json:"ambiguous_paths"`
	EncodedSlashes  string          `json:"encoded_slashes"`
	ResourcePrefix  string          `json:"resource_prefix"`
	ObtainRPT       bool            `json:"obtain_rpt"`

	enforce.RuleOptions
}

// The handlers with policies.
const (
	oauthPEP = "gluu_oauth_pep"
	umaPEP   = "gluu_uma_pep"
	opaPEP   = "gluu_opa_pep"
)

func isPEP(name string) bool { return name == oauthPEP || name == umaPEP || name == opaPEP }

// handlers finds the policies anywhere in a Caddy JSON configuration, in the order
// of the text.
func handlers(name string, config []byte) ([]*source, error) {
	var sources []*source
	app := gluuApp(config)
	err := walkObjects(config, nil, func(object json.RawMessage, hosts []string) error {
		var kind struct {
			Handler string `json:"handler"`
		}
		if err := json.Unmarshal(object, &kind); err != nil || !isPEP(kind.Handler) {
			return nil // another module may have a "handler" of another type
		}
		if kind.Handler == opaPEP {
			sources = append(sources, regoSource(object, app, hosts))
			return nil
		}
		var h pepHandler
		if err := json.Unmarshal(object, &h); err != nil {
			return refusedError{fmt.Errorf("%s in %s: %w", kind.Handler, name, err)}
		}
		sources = append(sources, (&h).source(hosts))
		return nil
	})
	if err != nil && !isRefused(err) {
		err = refusedError{fmt.Errorf("%s: %w", name, err)}
	}
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%q has neither %s nor %s nor %s, so it has no policy", name, oauthPEP, umaPEP, opaPEP)
	}
	return sources, nil
}

func (h *pepHandler) source(hosts []string) *source {
	s := &source{
		name:           titleOf(h.Handler, hosts),
		denyByDefault:  h.DenyByDefault == nil || *h.DenyByDefault,
		ambiguousPaths: h.AmbiguousPaths,
		encodedSlashes: h.EncodedSlashes,
		resourcePrefix: h.ResourcePrefix,
		uma:            h.Handler == umaPEP,
		obtainsRPT:     h.ObtainRPT,
	}
	rules := enforce.RuleSource{RuleOptions: h.RuleOptions, Option: "oauth_scope_expression", Inline: h.OAuthExpression, File: h.OAuthFile}
	if h.Handler == umaPEP {
		rules.Option, rules.Inline, rules.File, rules.UMA = "uma_scope_expression", h.UMAExpression, h.UMAFile, true
	}
	s.policy, s.api, s.refused = rules.Compile()
	return s
}

// titleOf names a handler by its site.
func titleOf(handler string, hosts []string) string {
	if len(hosts) > 0 {
		return handler + " of " + strings.Join(hosts, ", ")
	}
	return handler
}

// regoSource is what a handler gluu_opa_pep decides by.
func regoSource(handler, app json.RawMessage, hosts []string) *source {
	s := &source{name: titleOf(opaPEP, hosts), isRego: true}
	found, err := policytool.Find()
	if err == nil {
		s.rego, err = found.LoadHandler(handler, app)
	}
	if s.refused = err; err != nil && !errors.Is(err, policytool.ErrNone) && !errors.Is(err, policytool.ErrElsewhere) {
		s.refused = regoRefusedError{err}
	}
	return s
}

// A regoRefusedError says that a policy in Rego does not load.
type regoRefusedError struct{ error }

func (e regoRefusedError) Unwrap() error { return e.error }

// gluuApp returns the app gluu of a configuration, nil if there is none.
func gluuApp(config []byte) json.RawMessage {
	var all struct {
		Apps struct {
			Gluu json.RawMessage `json:"gluu"`
		} `json:"apps"`
	}
	if json.Unmarshal(config, &all) != nil {
		return nil // what is wrong with it is said elsewhere
	}
	return all.Apps.Gluu
}

// walkObjects calls visit for each object of a JSON text, outer objects first and
// otherwise in the order of the text. hosts are the hosts of the enclosing routes.
func walkObjects(text json.RawMessage, hosts []string, visit func(object json.RawMessage, hosts []string) error) error {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil
	}
	if text[0] == '{' {
		hosts = append(slices.Clip(hosts), routeHosts(text)...)
		if err := visit(text, hosts); err != nil {
			return err
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil { // { or [
		return err
	}
	for decoder.More() {
		if text[0] == '{' {
			if _, err := decoder.Token(); err != nil { // the name of a member
				return err
			}
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		if err := walkObjects(value, hosts, visit); err != nil {
			return err
		}
	}
	return nil
}

// routeHosts returns the hosts that an object matches if it is a route.
func routeHosts(object json.RawMessage) []string {
	var route struct {
		Match []struct {
			Host []string `json:"host"`
		} `json:"match"`
	}
	if err := json.Unmarshal(object, &route); err != nil {
		return nil // "match" means something else here
	}
	var hosts []string
	for _, m := range route.Match {
		hosts = append(hosts, m.Host...)
	}
	return hosts
}
