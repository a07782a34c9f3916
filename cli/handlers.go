// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/enforce"
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

	enforce.RuleOptions
}

// The handlers with policies.
const (
	oauthPEP = "gluu_oauth_pep"
	umaPEP   = "gluu_uma_pep"
)

// handlers finds the policies anywhere in a Caddy JSON configuration, in the order
// of the text.
func handlers(name string, config []byte) ([]*source, error) {
	var sources []*source
	err := walkObjects(config, nil, func(object json.RawMessage, hosts []string) error {
		var kind struct {
			Handler string `json:"handler"`
		}
		if err := json.Unmarshal(object, &kind); err != nil || kind.Handler != oauthPEP && kind.Handler != umaPEP {
			return nil // another module may have a "handler" of another type
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
		return nil, fmt.Errorf("%q has neither %s nor %s, so it has no policy", name, oauthPEP, umaPEP)
	}
	return sources, nil
}

func (h *pepHandler) source(hosts []string) *source {
	s := &source{
		name:           h.Handler,
		denyByDefault:  h.DenyByDefault == nil || *h.DenyByDefault,
		ambiguousPaths: h.AmbiguousPaths,
		encodedSlashes: h.EncodedSlashes,
		resourcePrefix: h.ResourcePrefix,
	}
	if len(hosts) > 0 {
		s.name += " of " + strings.Join(hosts, ", ")
	}
	rules := enforce.RuleSource{RuleOptions: h.RuleOptions, Option: "oauth_scope_expression", Inline: h.OAuthExpression, File: h.OAuthFile}
	if h.Handler == umaPEP {
		rules.Option, rules.Inline, rules.File, rules.UMA = "uma_scope_expression", h.UMAExpression, h.UMAFile, true
	}
	s.policy, s.api, s.refused = rules.Compile()
	return s
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
