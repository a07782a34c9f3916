// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/caddy-gluu/gateway/identity"
)

// visitor is who looks at the pages.
type visitor struct {
	name    string // for people
	session string // identifies the session; never shown
	role    role
	isLocal bool
}

// visitorOf returns who sends a request, nil if it is unknown. A role is found
// anew for each request: there is nothing that a person could change about
// themselves.
func (u *UI) visitorOf(r *http.Request, stays bool) *visitor {
	if u.doors != nil {
		cookie, err := r.Cookie(localCookie(r, "").Name)
		if err != nil || !u.doors.isOpen(cookie.Value, stays) {
			return nil
		}
		return &visitor{name: "this machine", session: "local " + cookie.Value, role: admin, isLocal: true}
	}
	person := map[string]any{}
	var found *visitor
	if chain := verifiedChain(r); chain != nil {
		sum := sha256.Sum256(chain[0].Raw)
		person["certificate"] = certificateOf(chain[0], hex.EncodeToString(sum[:]))
		found = &visitor{name: chain[0].Subject.String(), session: "certificate " + hex.EncodeToString(sum[:])}
	}
	if v := loggedIn(r, person); v != nil {
		found = v
	}
	if found != nil {
		found.role = roleOf(u.roles, person)
	}
	return found
}

// loggedIn returns the person that gluu_openid_connect has a session of. A token
// that a program sends is not a session: it could be sent by any page.
func loggedIn(r *http.Request, person map[string]any) *visitor {
	id := identity.Of(r)
	if id == nil || id.Token == nil || id.Anonymous || id.Details == nil {
		return nil
	}
	session, _ := id.Details("session")
	tag, _ := session.(string)
	if tag == "" {
		return nil
	}
	claims, userinfo := map[string]any{}, map[string]any{}
	if err := json.Unmarshal([]byte(id.Token.ClaimsJSON), &claims); err != nil {
		return nil
	}
	if text, err := json.Marshal(id.UserInfo); err == nil {
		_ = json.Unmarshal(text, &userinfo) // it was made from JSON
	}
	person["id_token"], person["userinfo"] = claims, userinfo
	name := id.Token.Subject
	for _, source := range []map[string]any{claims, userinfo} {
		for _, member := range []string{"email", "preferred_username", "name"} {
			if text, ok := source[member].(string); ok && text != "" {
				name = text
			}
		}
	}
	return &visitor{name: name, session: "oidc " + tag}
}

// verifiedChain returns the chain of the client's certificate, nil if none was
// verified.
func verifiedChain(r *http.Request) []*x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0]
}

// certificateOf is a certificate as expressions see it.
func certificateOf(c *x509.Certificate, fingerprint string) map[string]any {
	uris := make([]string, len(c.URIs))
	for i, uri := range c.URIs {
		uris[i] = uri.String()
	}
	return map[string]any{
		"subject": c.Subject.String(), "issuer": c.Issuer.String(), "serial": c.SerialNumber.String(), "fingerprint": fingerprint,
		"common_name": c.Subject.CommonName, "organization": c.Subject.Organization, "organizational_unit": c.Subject.OrganizationalUnit,
		"dns_names": c.DNSNames, "emails": c.EmailAddresses, "uris": uris,
	}
}
