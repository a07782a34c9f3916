// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddy-gluu/gateway/introspect"
)

// Permissions of a requesting party token (Federated Authorization for UMA
// 2.0, section 5.1.1). They come from the introspection answer or from the
// token itself, which is then a JWT; and they go by two sets of names, those
// of the standard and those that Keycloak puts into its JWTs:
//
//	{"permissions": [{"resource_id": "...", "resource_scopes": ["view"], "exp": 1}]}
//	{"authorization": {"permissions": [{"rsid": "...", "scopes": ["view"]}]}}

// permission is what a token permits at one resource until some time.
type permission struct {
	scopes    []string
	notBefore int64 // in seconds since 1970; 0: always
	expires   int64 // in seconds since 1970; 0: with the token
}

func (p *permission) holds(now int64) bool {
	return (p.expires == 0 || now < p.expires) && p.notBefore <= now
}

// permissions are those of one token, by resource id. A resource may be named
// several times.
type permissions map[string][]permission

// scopes returns what the token permits at a resource at this time, and until
// when that stays so: 0 for as long as the token lives.
func (p permissions) scopes(resource string, now int64) (scopes []string, until int64) {
	for _, each := range p[resource] {
		change := each.expires
		if now < each.notBefore {
			change = each.notBefore
		}
		if change > now && (until == 0 || change < until) {
			until = change
		}
		if !each.holds(now) {
			continue
		}
		for _, scope := range each.scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, until
}

// claimedPermission is a permission in both spellings.
type claimedPermission struct {
	ResourceID     string      `json:"resource_id"`
	ResourceScopes []string    `json:"resource_scopes"`
	RSID           string      `json:"rsid"`
	Scopes         []string    `json:"scopes"`
	Expires        json.Number `json:"exp"`
	NotBefore      json.Number `json:"nbf"`
}

// permissionsOf reads the permissions of a verified token. A token without
// any has an empty map. A permission whose meaning is unclear is an error: to
// leave out an "exp" that cannot be read would turn a short permission into a
// long one.
func permissionsOf(token *introspect.Token) (permissions, error) {
	var claims struct {
		Permissions   []claimedPermission `json:"permissions"`
		Authorization struct {
			Permissions []claimedPermission `json:"permissions"`
		} `json:"authorization"`
	}
	if err := json.Unmarshal(token.ClaimsJSON, &claims); err != nil {
		return nil, fmt.Errorf("permissions of the token: %w", err)
	}
	all := make(permissions)
	for _, claimed := range slices.Concat(claims.Permissions, claims.Authorization.Permissions) {
		id, p, err := claimed.read()
		if err != nil {
			return nil, fmt.Errorf("permissions of the token: %w", err)
		}
		all[id] = append(all[id], p)
	}
	return all, nil
}

func (c claimedPermission) read() (id string, p permission, err error) {
	switch {
	case c.ResourceID != "" && c.RSID != "" && c.ResourceID != c.RSID:
		return "", p, fmt.Errorf("one names two resources, %q and %q", c.ResourceID, c.RSID)
	case c.ResourceID != "":
		id = c.ResourceID
	case c.RSID != "":
		id = c.RSID
	default:
		return "", p, fmt.Errorf("one names no resource")
	}
	p.scopes = c.ResourceScopes
	if p.scopes == nil {
		p.scopes = c.Scopes
	}
	if p.expires, err = seconds(c.Expires); err != nil {
		return "", p, fmt.Errorf("exp: %w", err)
	}
	if p.notBefore, err = seconds(c.NotBefore); err != nil {
		return "", p, fmt.Errorf("nbf: %w", err)
	}
	return id, p, nil
}

// seconds reads a NumericDate (RFC 7519, section 2), which may have a
// fraction. Keycloak writes 0 where there is no end.
func seconds(n json.Number) (int64, error) {
	if n == "" {
		return 0, nil
	}
	value, err := n.Float64()
	if err != nil || value < 0 || value > float64(1<<40) {
		return 0, fmt.Errorf("%s is no time", n)
	}
	return int64(value), nil
}
