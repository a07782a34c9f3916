// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Grant is a claim whose values rules ask for.
type Grant struct {
	// The path of the claim: `scope`, `realm_access.roles`,
	// `resource_access["todo.api"].roles`, `["https://example.com/roles"]`. A text
	// in `scope` or `scp` is split at spaces, elsewhere it is one value; of a
	// list, each text is one.
	Claim string `json:"claim"`

	// What a rule writes before the value: with `role:` a rule asks for
	// `role:admin`. What a claim without a prefix says under this prefix does
	// not count, so that a scope is never taken for a role. Default: none.
	Prefix string `json:"prefix,omitempty"`
}

// checkClaims refuses claims that cannot be found and prefixes that could be
// taken for each other.
func (c *Config) checkClaims(func(string) bool) error {
	for i, name := range c.ClientIDClaims {
		switch {
		case name == "":
			return fmt.Errorf("client_id_claims names claims; one of them is empty")
		case slices.Contains(c.ClientIDClaims[:i], name):
			return fmt.Errorf("client_id_claims names %q twice: keep one of them", name)
		}
	}
	var grants []token.Grant
	for _, grant := range c.Grants {
		parsed, err := grant.parse()
		if err == nil {
			grants = append(grants, parsed)
			err = token.CheckGrants(grants)
		}
		if err != nil {
			return fmt.Errorf("grants %q: %w", grant.Claim, err)
		}
	}
	return nil
}

func (g Grant) parse() (token.Grant, error) {
	path, err := token.ParseClaimPath(g.Claim)
	if err == nil && strings.ContainsFunc(g.Prefix, isSpaceOrControl) {
		err = fmt.Errorf("the prefix %q contains white space, which no rule can ask for", g.Prefix)
	}
	return token.Grant{Path: path, Prefix: g.Prefix}, err
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// mapping returns which claims mean what. The settings have been checked.
func (c *Config) mapping() token.Mapping {
	m := token.Mapping{ClientID: c.ClientIDClaims}
	for _, grant := range c.Grants {
		if parsed, err := grant.parse(); err == nil {
			m.Grants = append(m.Grants, parsed)
		}
	}
	return m
}
