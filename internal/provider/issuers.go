// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

// Issuers are the values of `iss` that are one server's: fixed ones, and patterns
// such as https://login.example.com/{tid}/v2.0, in which the claim `tid` must
// stand at this place and be one of the tenants. The value is never changed.
type Issuers struct {
	names   []issuerName
	tenants []string // "*" for all
}

// issuerName is one value of `iss`, or a pattern of values if it has a claim.
type issuerName struct {
	before, claim, after string
}

// AnyTenant stands for all tenants of a server.
const AnyTenant = "*"

// tenantPlace is the place of a claim in a pattern. Placeholders of Caddy that are
// resolved at load time contain a dot or a slash.
var tenantPlace = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_-]*)\}`)

// IssuersOf returns the issuers of these names, with patterns for which these
// tenants are allowed.
func IssuersOf(names, tenants []string) Issuers {
	i := Issuers{tenants: tenants}
	for _, name := range names {
		i.names = append(i.names, parseIssuerName(name))
	}
	return i
}

func parseIssuerName(text string) issuerName {
	at := tenantPlace.FindStringSubmatchIndex(text)
	if at == nil {
		return issuerName{before: text}
	}
	return issuerName{before: text[:at[0]], claim: text[at[2]:at[3]], after: text[at[1]:]}
}

// tenantIn returns what a value has at the place of the claim, "" if the
// value is not of this pattern.
func (n issuerName) tenantIn(iss string) string {
	rest, ok := strings.CutPrefix(iss, n.before)
	if !ok {
		return ""
	}
	tenant, ok := strings.CutSuffix(rest, n.after)
	if !ok || strings.Contains(tenant, "/") {
		return ""
	}
	return tenant
}

// Claim reports whether a token with this `iss` says that it is from this server,
// whatever its tenant.
func (i Issuers) Claim(iss string) bool {
	return iss != "" && slices.ContainsFunc(i.names, func(n issuerName) bool {
		if n.claim == "" {
			return n.before == iss
		}
		return n.tenantIn(iss) != ""
	})
}

// Common returns a value of `iss`, or a pattern of values, that is one of both
// servers, "" if there is none.
func (i Issuers) Common(other Issuers) string {
	for _, n := range i.names {
		if n.claim == "" && other.Claim(n.before) || slices.Contains(other.names, n) {
			return n.String()
		}
	}
	for _, n := range other.names {
		if n.claim == "" && i.Claim(n.before) {
			return n.String()
		}
	}
	return ""
}

func (n issuerName) String() string {
	if n.claim == "" {
		return n.before
	}
	return n.before + "{" + n.claim + "}" + n.after
}

// Check returns the `iss` of claims if it is this server's and, where it names a
// tenant, an allowed one that the claims name too.
func (i Issuers) Check(claims jose.Object) (iss string, err error) {
	iss, err = claims.Text("iss")
	if err != nil {
		return "", err
	}
	for _, n := range i.names {
		if n.claim == "" {
			if iss != "" && n.before == iss {
				return iss, nil
			}
			continue
		}
		if tenant := n.tenantIn(iss); tenant != "" {
			if err = i.checkTenant(n.claim, tenant, claims); err == nil {
				return iss, nil
			}
		}
	}
	if err == nil { // no pattern has said more
		err = jwtcheck.SameIssuer(iss, i.expected(iss))
	}
	return "", err
}

// expected returns an issuer that is not this one, for a message.
func (i Issuers) expected(iss string) string {
	for _, n := range i.names {
		if n.claim != "" {
			return n.String()
		}
		if n.before != iss {
			return n.before
		}
	}
	return ""
}

func (i Issuers) checkTenant(claim, tenant string, claims jose.Object) error {
	if named, err := claims.Text(claim); err != nil || named != tenant {
		return fmt.Errorf("iss names another %s than the claim of this name", claim)
	}
	if !i.allows(tenant) {
		return fmt.Errorf("%s %.80q is not one of the tenants", claim, tenant)
	}
	return nil
}

func (i Issuers) allows(tenant string) bool {
	return slices.Contains(i.tenants, AnyTenant) || slices.Contains(i.tenants, tenant)
}

// Spoke reports whether a signed response, or a document, with this issuer is from
// this server. Neither has a claim for the tenant.
func (i Issuers) Spoke(issuer string) bool {
	return issuer != "" && slices.ContainsFunc(i.names, func(n issuerName) bool {
		if n.claim == "" {
			return n.before == issuer
		}
		tenant := n.tenantIn(issuer)
		return tenant != "" && i.allows(tenant)
	})
}

// HasTenants reports whether the issuer depends on a claim, so that a token whose
// issuer is unknown cannot be told to be of an allowed tenant.
func (i Issuers) HasTenants() bool {
	return slices.ContainsFunc(i.names, func(n issuerName) bool { return n.claim != "" })
}

// Known returns the issuers that can be named: all of them, unless tenants are
// not listed.
func (i Issuers) Known() (known []string) {
	for _, n := range i.names {
		if n.claim == "" {
			known = append(known, n.before)
			continue
		}
		for _, tenant := range i.tenants {
			if tenant != AnyTenant {
				known = append(known, n.before+tenant+n.after)
			}
		}
	}
	return known
}

// with returns the issuers and one more, which may be "".
func (i Issuers) with(name string) Issuers {
	if name == "" || i.Claim(name) {
		return i
	}
	i.names = append(slices.Clip(i.names), issuerName{before: name})
	return i
}

// Issuers returns the values of `iss` that are the server's, as far as is known
// now: AD FS names a further one in its metadata.
func (s *Server) Issuers() Issuers {
	s.discovery.mu.Lock()
	defer s.discovery.mu.Unlock()
	if s.discovery.found == nil {
		return s.issuers
	}
	return s.issuers.with(s.discovery.found.accessTokenIssuer)
}

// isOwnDocument reports whether metadata with this issuer is the server's. A
// server with tenants may have one document for all of them, with a placeholder in
// the place of the tenant.
func (s *Server) isOwnDocument(issuer string) bool {
	own := parseIssuerName(s.config.Issuer)
	if own.claim == "" {
		return issuer == s.config.Issuer
	}
	if said := parseIssuerName(issuer); said.claim != "" {
		return said.before == own.before && said.after == own.after
	}
	return IssuersOf([]string{s.config.Issuer}, s.config.Tenants).Spoke(issuer)
}

// openIssuer is open for an issuer, in which the place of a tenant is not a
// placeholder.
func openIssuer(value string, open func(string) bool) bool {
	return open(tenantPlace.ReplaceAllString(value, "tenant"))
}

// checkIssuers refuses what cannot be the name of an issuer.
func (c *Config) checkIssuers(open func(string) bool) error {
	names := []struct{ setting, value string }{{"issuer", c.Issuer}, {"op_url", c.OPURL}}
	for i, value := range c.Issuers {
		names = append(names, struct{ setting, value string }{"issuers", value})
		if value == "" {
			return errors.New("issuers names values of 'iss'; one of them is empty")
		}
		if slices.Contains(c.Issuers[:i], value) || value == c.Issuer || value == c.OPURL {
			return fmt.Errorf("issuers names %q, which is an issuer already: keep one of them", value)
		}
	}
	for _, name := range names {
		if name.value == "" || openIssuer(name.value, open) {
			continue
		}
		if err := checkIssuerName(name.setting, name.value); err != nil {
			return err
		}
	}
	for _, tenant := range c.Tenants {
		if tenant == "" || strings.ContainsAny(tenant, "/ ") {
			return fmt.Errorf("tenants names values for the braces in the issuer, not %q", tenant)
		}
	}
	return nil
}

func checkIssuerName(setting, value string) error {
	if strings.ContainsFunc(value, isSpaceOrControl) {
		return fmt.Errorf("%s %q contains white space, which no issuer does", setting, value)
	}
	// RFC 8414, section 2.
	isAddress := strings.HasPrefix(value, "https://") || strings.HasPrefix(value, "http://")
	if isAddress && strings.Contains(value, "?") {
		return fmt.Errorf("%s %q has a query, which an issuer identifier cannot have", setting, value)
	}
	if isAddress && strings.Contains(value, "#") {
		return fmt.Errorf("%s %q has a fragment, which an issuer identifier cannot have", setting, value)
	}
	if base, _, metadata := strings.Cut(value, "/.well-known/"); isAddress && metadata {
		return fmt.Errorf("%s %q is the address of the server's metadata: write %q", setting, value, base)
	}
	pattern := parseIssuerName(value)
	switch {
	case pattern.claim == "":
		return nil
	case tenantPlace.MatchString(pattern.after):
		return fmt.Errorf("%s %q has several claims in braces: one is allowed", setting, value)
	case pattern.claim == "iss", len(pattern.before) < len("https://x"):
		return fmt.Errorf("%s %q would accept tokens of any issuer: write the fixed part of the address, 'https://login.example.com/{%s}'", setting, value, pattern.claim)
	}
	return nil
}

// checkTenants refuses a pattern without tenants and tenants without a pattern.
func (c *Config) checkTenants(func(string) bool) error {
	has := IssuersOf(c.issuerNames(), nil).HasTenants()
	switch {
	case has && len(c.Tenants) == 0:
		return errors.New("an issuer has a claim in braces: write 'tenants <id>...' to say which values it may have, or 'tenants *' for all")
	case !has && len(c.Tenants) > 0:
		return wrong("tenants", errors.New("tenants has no effect: no issuer has a claim in braces, such as 'https://login.example.com/{tid}/v2.0'"))
	case slices.Contains(c.Tenants, AnyTenant) && len(c.Tenants) > 1:
		return wrong("tenants", errors.New("tenants * is all of them: leave out the others, or the '*'"))
	case has && tenantPlace.MatchString(c.Issuer) && (c.ClientAuth == ClientSecretJWT || c.ClientAuth == PrivateKeyJWT):
		return wrong("client_auth", fmt.Errorf("client_auth %s needs an issuer that an assertion can name, not the pattern %q", c.ClientAuth, c.Issuer))
	}
	return nil
}

// ConfiguredIssuers are the issuers without what metadata adds to them.
func (c *Config) ConfiguredIssuers() Issuers { return IssuersOf(c.issuerNames(), c.Tenants) }

// issuerNames are all issuers that are configured.
func (c *Config) issuerNames() []string {
	return append([]string{c.Issuer}, c.Issuers...)
}
