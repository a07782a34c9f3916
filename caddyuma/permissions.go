// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
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

// permissionsOf reads the permissions of a verified token. A token without any
// has an empty map. A permission whose meaning is unclear is an error: to leave
// out an "exp" that cannot be read would turn a short permission into a long
// one. Names are compared exactly: a claim "Permissions", whose value a user
// may have chosen, is another one.
func permissionsOf(token *token.Token) (permissions, error) {
	all := make(permissions)
	claims, err := jose.ParseObject([]byte(token.ClaimsJSON))
	if err == nil {
		err = all.add(claims)
	}
	if authorization, ok := claims.Get("authorization"); err == nil && ok && !authorization.IsNull() {
		var inner jose.Object
		if inner, err = authorization.Object(); err == nil {
			err = all.add(inner)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("permissions of the token: %w", err)
	}
	return all, nil
}

// add reads the member "permissions" of an object.
func (p permissions) add(o jose.Object) error {
	list, ok := o.Get("permissions")
	if !ok || list.IsNull() {
		return nil
	}
	elements, err := list.Elements()
	if err != nil {
		return err
	}
	for _, element := range elements {
		claimed, err := element.Object()
		if err != nil {
			return err
		}
		id, read, err := readPermission(claimed)
		if err != nil {
			return err
		}
		if id != "" {
			p[id] = append(p[id], read)
		}
	}
	return nil
}

// readPermission reads a permission in both spellings.
func readPermission(claimed jose.Object) (id string, p permission, err error) {
	if id, err = resourceOf(claimed); err != nil {
		return "", p, err
	}
	for _, name := range []string{"resource_scopes", "scopes"} {
		list, ok := claimed.Get(name)
		if !ok || list.IsNull() {
			continue
		}
		if p.scopes, err = list.Texts(); err != nil {
			return "", p, fmt.Errorf("%s: %w", name, err)
		}
		break
	}
	if p.expires, err = seconds(claimed, "exp"); err != nil {
		return "", p, err
	}
	p.notBefore, err = seconds(claimed, "nbf")
	return id, p, err
}

// resourceOf returns the resource of a permission, "" if it names none: Keycloak
// writes such a permission for granted scopes that belong to no resource.
func resourceOf(claimed jose.Object) (string, error) {
	id, err := claimed.Text("resource_id")
	if err != nil {
		return "", err
	}
	rsid, err := claimed.Text("rsid")
	switch {
	case err != nil:
		return "", err
	case id != "" && rsid != "" && id != rsid:
		return "", fmt.Errorf("one names two resources, %q and %q", id, rsid)
	}
	return cmp.Or(id, rsid), nil
}

// seconds reads a time, 0 if there is none. Keycloak writes 0 for one without
// an end, and some servers write numbers as strings.
func seconds(o jose.Object, name string) (int64, error) {
	if v, _ := o.Get(name); v.IsText() {
		digits, err := v.Text()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		n, err := strconv.ParseUint(digits, 10, 40)
		if err != nil {
			return 0, fmt.Errorf("%s is not a time", name)
		}
		return int64(n), nil
	}
	t, err := o.Time(name)
	if err != nil || t.IsZero() {
		return 0, err
	}
	return t.Unix(), nil
}
