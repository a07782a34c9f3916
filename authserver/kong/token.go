// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// token is the token endpoint. As in Kong, of several mistakes the last one checked is told:
// a client that is not authenticated learns nothing about the rest of its request.
func (c *call) token() error {
	grant := c.params.text("grant_type")
	var wrong *problem
	if !c.servesGrant(grant) {
		wrong = c.orMissing("grant_type", wrongGrantType())
	}
	client, clientProblem, err := c.authenticate(grant)
	switch {
	case err != nil:
		return err
	case clientProblem != nil:
		wrong = clientProblem
	case wrong == nil && client != nil && !c.mayUse(client, grant):
		wrong = c.notServed(grant)
	}
	tokens, err := c.exchange(grant, client, wrong)
	if err != nil {
		return err
	}
	c.answer(tokens)
	c.issued(grant)
	return nil
}

// notServed says why a client cannot have a grant.
func (c *call) notServed(grant string) *problem {
	switch {
	case grant == authcore.GrantRefreshToken || c.Profile.enables(grant):
		return notForClient()
	case grant == authcore.GrantAuthorizationCode: // see servesGrant
		return wrongGrantType().inKongs(authcore.InvalidRequest, "Invalid code")
	}
	return wrongGrantType()
}

func (c *call) servesGrant(grant string) bool {
	switch grant {
	case authcore.GrantAuthorizationCode, authcore.GrantRefreshToken:
		return true // Kong does not ask whether its plugin issues codes: then there are none
	case authcore.GrantClientCredentials, authcore.GrantPassword:
		return c.Profile.enables(grant)
	}
	return false
}

// exchange gives a client what it asks for, unless something is wrong. A code or refresh token
// that an authenticated client used before is noticed even then.
func (c *call) exchange(grant string, client *authcore.Client, wrong *problem) (*authcore.Tokens, error) {
	switch {
	case client != nil && grant == authcore.GrantAuthorizationCode:
		return c.redeem(client, wrong)
	case client != nil && grant == authcore.GrantRefreshToken:
		return c.refresh(client, wrong)
	case wrong != nil:
		return nil, wrong
	case grant == authcore.GrantPassword:
		return c.password(client)
	}
	return c.clientCredentials(client)
}

// credentials are those of a client as they were sent.
type credentials struct {
	id, secret string
	hasSecret  bool
	fromHeader bool // there is an Authorization header, whatever it says
}

// method is the way in which a client authenticates.
func (c credentials) method() string {
	if c.fromHeader {
		return authcore.AuthBasic
	}
	return authcore.AuthPost
}

// basicPattern finds the credentials in an Authorization header, as Kong does. The name of
// the scheme may have any case (RFC 9110 section 11.1).
var (
	basicPattern = regexp.MustCompile(`\s*[Bb]asic\s*(.+)`)
	anyCaseBasic = regexp.MustCompile(`^(?i:basic) +(.+)$`)
)

// readCredentials reads the credentials of a client: of the body if both are there, else of
// the header.
func (c *call) readCredentials() credentials {
	if c.params.isGiven("client_id") && c.params.isGiven("client_secret") {
		return credentials{id: c.params.text("client_id"), secret: c.params.text("client_secret"), hasSecret: true}
	}
	values := c.r.Header.Values(c.authHeader())
	if len(values) == 0 {
		return credentials{id: c.params.text("client_id")}
	}
	value, sent := values[0], credentials{fromHeader: true}
	pattern := basicPattern
	if c.Profile.isRFC() {
		pattern = anyCaseBasic
	}
	if found := pattern.FindStringSubmatch(value); found != nil {
		// nginx, which decodes for Kong, does not ask for the padding.
		unpadded, _, _ := strings.Cut(strings.TrimSpace(found[1]), "=")
		if decoded, err := base64.RawStdEncoding.DecodeString(unpadded); err == nil {
			sent.id, sent.secret, sent.hasSecret = strings.Cut(string(decoded), ":")
		}
	}
	return sent
}

// authenticate finds out who the client is, and returns nil if it has not authenticated. A
// client that is unknown is told so in the same words, and after the same time, as one whose
// secret is wrong. One that has authenticated can have a problem too.
func (c *call) authenticate(grant string) (*authcore.Client, *problem, error) {
	sent := c.readCredentials()
	if c.Profile.isRFC() {
		if wrong := c.checkWays(sent); wrong != nil {
			return nil, wrong, nil
		}
	}
	status := 0
	if sent.fromHeader {
		status = http.StatusUnauthorized
	}
	client, err := c.findClient(sent.id)
	if err != nil {
		return nil, nil, err
	}
	if client == nil {
		p, err := c.refuseUnknown(sent, grant, status)
		return nil, p, err
	}
	var wrong *problem
	if grant != authcore.GrantClientCredentials && !c.Profile.isRFC() { // by the standards a code knows its own, see redeem
		switch _, problem := c.redirectURIOf(client); {
		case len(client.RedirectURIs) == 0:
			wrong = wrongClient(reasonUnknownClient, status)
		case problem != nil:
			wrong = problem
		}
	}
	secretProblem, err := c.checkSecret(client, sent, status)
	if err != nil || secretProblem != nil {
		return nil, secretProblem, err
	}
	if wrong == nil && client.Public && grant == authcore.GrantClientCredentials && c.Profile.enables(grant) {
		wrong = wrongClient(reasonSecretOfNone, status) // a client that proves nothing has no tokens of its own
		wrong.rfc = answer{0, authcore.UnauthorizedClient, "a public client cannot authenticate, so it has no tokens of its own"}
	}
	return client, wrong, nil
}

// checkWays refuses a client that authenticates in two ways, or names itself differently in
// them (RFC 6749 section 2.3).
func (c *call) checkWays(sent credentials) *problem {
	headers := c.r.Header.Values(c.authHeader())
	switch {
	case len(headers) > 1:
		return malformed("there is more than one header with the credentials of the client")
	case len(headers) == 1 && c.params.has("client_secret"):
		return malformed("the client authenticates in two ways; one is allowed")
	case sent.fromHeader && sent.id != "" && c.params.has("client_id") && c.params.text("client_id") != sent.id:
		return malformed("client_id in the body is not the one of the header")
	}
	return nil
}

func (c *call) authHeader() string {
	if c.Profile.AuthHeader == "" {
		return defaultAuthHeader
	}
	return c.Profile.AuthHeader
}

func (c *call) redirectURIOf(client *authcore.Client) (string, *problem) {
	if len(client.RedirectURIs) == 0 {
		return "", nil
	}
	return c.redirectURI(client)
}

func (c *call) findClient(id string) (*authcore.Client, error) {
	if id == "" {
		return nil, nil
	}
	client, err := c.FindClient(c.r.Context(), id)
	if errors.Is(err, authcore.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		c.clientID = client.ClientID
	}
	return client, err
}

// refuseUnknown refuses a client that does not exist. Where the grant is that of a client
// itself, Kong looks at the provision key first, and answers 400.
func (c *call) refuseUnknown(sent credentials, grant string, status int) (*problem, error) {
	if _, err := c.CheckSecret(c.r, sent.method(), sent.id, sent.secret); err != nil {
		return c.failedCheck(err)
	}
	switch {
	case grant != authcore.GrantClientCredentials:
		return wrongClient(reasonUnknownClient, status), nil
	case !c.Profile.enables(grant):
		return nil, nil // the grant itself is refused
	}
	if c.params.isGiven("authenticated_userid") {
		if err := c.checkProvisionKey(); err != nil {
			return nil, err
		}
	}
	return wrongClient(reasonUnknownClient, 0), nil
}

func (c *call) failedCheck(err error) (*problem, error) {
	if errors.Is(err, ErrLimited) {
		return limited(), nil
	}
	return nil, unavailable(reasonBusy, err)
}

// checkSecret checks the secret of a client that exists.
func (c *call) checkSecret(client *authcore.Client, sent credentials, status int) (*problem, error) {
	if client.Public {
		if strings.TrimSpace(sent.secret) != "" {
			return secretOfPublicClient(), nil
		}
		return nil, nil
	}
	readings := []string{sent.secret}
	if decoded, ok := c.decodedSecret(sent); ok {
		readings = append(readings, decoded)
	}
	right, err := c.CheckSecret(c.r, sent.method(), client.ClientID, readings...)
	switch {
	case err != nil:
		return c.failedCheck(err)
	case !right || sent.secret == "":
		return wrongClient(reasonWrongSecret, status), nil
	}
	return nil, nil
}

// decodedSecret is the other reading of a secret in the header, which RFC 6749 section 2.3.1
// wants form-encoded. Kong's clients send it as it is.
func (c *call) decodedSecret(sent credentials) (string, bool) {
	if !c.Profile.isRFC() || !sent.fromHeader || !strings.ContainsAny(sent.secret, "%+") {
		return "", false
	}
	decoded, err := url.QueryUnescape(sent.secret)
	return decoded, err == nil
}

// redeem exchanges a code.
func (c *call) redeem(client *authcore.Client, wrong *problem) (*authcore.Tokens, error) {
	tokens, err := c.Store.RedeemCode(c.r.Context(), c.params.text("code"), authcore.Redemption{
		Issuer: c.Issuer, Service: c.Service, OwnService: true, ClientID: client.ClientID,
		RedirectURI: c.params.text("redirect_uri"), Verifier: c.params.text("code_verifier"),
		RequireChallenge: c.Profile.requiresPKCE(client), Refuse: wrong.asError(),
		Accept: func(g *authcore.Grant) (authcore.Terms, error) { return c.terms(client, g), nil },
	})
	if f, refused := errors.AsType[*authcore.Fault](err); refused {
		return nil, c.orMissing("code", c.codeProblem(f))
	}
	return tokens, err
}

// codeProblem says in Kong's words why a code is refused.
func (c *call) codeProblem(f *authcore.Fault) *problem {
	p := problemOfFault(f)
	switch f.Reason {
	case authcore.ReasonRedirectURI:
		return p.inKongs(authcore.InvalidRequest, wrongRedirectURI().kong.description)
	case authcore.ReasonVerifierUnwanted:
		return p
	case authcore.ReasonVerifierMissing, authcore.ReasonVerifier:
		return p.inKongs(c.verifierText())
	}
	return p.inKongs(authcore.InvalidRequest, "Invalid code")
}

// verifierText says what is wrong with a verifier.
func (c *call) verifierText() (code, description string) {
	const shortest, longest = 43, 128
	switch n := len(c.params.text("code_verifier")); {
	case !c.params.isGiven("code_verifier"):
		return authcore.InvalidRequest, "code_verifier is required for PKCE authorization requests"
	case !c.params.isText("code_verifier"):
		return authcore.InvalidRequest, "code_verifier is not a string"
	case n < shortest || n > longest:
		return authcore.InvalidRequest, "code_verifier must be between 43 and 128 characters"
	}
	return authcore.InvalidGrant, "Invalid code"
}

// terms are those of tokens that a user has granted. Scopes that the server or the client no
// longer has are left out.
func (c *call) terms(client *authcore.Client, g *authcore.Grant) authcore.Terms {
	g.Scopes = slices.DeleteFunc(slices.Clone(g.Scopes), func(scope string) bool {
		return !slices.Contains(c.Scopes, scope) || len(client.Scopes) > 0 && !slices.Contains(client.Scopes, scope)
	})
	ttl := c.Profile.tokenTTL()
	return authcore.Terms{
		AccessTTL: ttl, Refresh: ttl > 0, Idle: c.Profile.refreshTTL(),
		Keep:    c.Profile.ReuseRefreshToken && !(c.Profile.isRFC() && client.Public),
		NewText: newText,
	}
}

// refresh exchanges a refresh token. As in Kong, the access token before is over then.
func (c *call) refresh(client *authcore.Client, wrong *problem) (*authcore.Tokens, error) {
	ctx := c.r.Context()
	rotation := authcore.Rotation{
		Issuer: c.Issuer, Service: c.Service, OwnService: true, ClientID: client.ClientID, Refuse: wrong.asError(),
		Accept: func(g *authcore.Grant) (authcore.Terms, error) { return c.refreshTerms(client, g) },
	}
	if c.Profile.isRFC() && wrong == nil { // Kong does not read the scope here
		rotation.Scopes, rotation.Refuse = authcore.ParseScopes(c.params.text("scope"))
	}
	tokens, err := c.Store.RotateRefresh(ctx, c.params.text("refresh_token"), rotation)
	if f, refused := errors.AsType[*authcore.Fault](err); refused {
		p := problemOfFault(f)
		if f.Reason == authcore.ReasonForeignClient {
			return nil, p.inKongs(authcore.InvalidClient, "Invalid client authentication")
		}
		return nil, c.orMissing("refresh_token", p.inKongs(authcore.InvalidRequest, "Invalid refresh_token"))
	}
	if err != nil {
		return nil, err
	}
	return tokens, c.endOthers(tokens)
}

// refreshTerms refuses, as Kong does, a grant with a scope that the server no longer has. By
// the standards the new token goes without that scope.
func (c *call) refreshTerms(client *authcore.Client, g *authcore.Grant) (authcore.Terms, error) {
	if !c.Profile.isRFC() && slices.ContainsFunc(g.Scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) }) {
		return authcore.Terms{}, scopeMismatch()
	}
	return c.terms(client, g), nil
}

// endOthers revokes the access tokens of a grant but the one that was just issued.
func (c *call) endOthers(tokens *authcore.Tokens) error {
	ctx := c.r.Context()
	for after := []byte(nil); ; {
		page, next, err := c.Store.ListTokens(ctx, authcore.Filter{GrantID: tokens.Grant.ID}, after, 50)
		if err != nil {
			return err
		}
		for _, t := range page {
			if t.ID == tokens.Access.ID {
				continue
			}
			if err := c.Store.RevokeToken(ctx, t); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		after = next
	}
}

// password issues tokens for a user that the client's own login has vouched for.
func (c *call) password(client *authcore.Client) (*authcore.Tokens, error) {
	if err := c.checkProvisionKey(); err != nil {
		return nil, err
	}
	if c.params.isBlank("authenticated_userid") {
		return nil, missingUser()
	}
	scopes, wrong := c.scopes(client)
	if wrong != nil {
		return nil, wrong
	}
	grant := &authcore.Grant{
		Issuer: c.Issuer, Service: c.Service, ClientID: client.ClientID, Subject: c.params.text("authenticated_userid"),
		Scopes: scopes, Type: authcore.GrantPassword,
	}
	return c.Store.StartGrant(c.r.Context(), grant, nil, c.terms(client, grant))
}

// clientCredentials issues a token to a client itself, or in the name of a user that it
// vouches for with the provision key.
func (c *call) clientCredentials(client *authcore.Client) (*authcore.Tokens, error) {
	if c.params.isGiven("authenticated_userid") {
		if err := c.checkProvisionKey(); err != nil {
			return nil, err
		}
		if c.params.isBlank("authenticated_userid") {
			return nil, missingUser()
		}
	}
	scopes, wrong := c.scopes(client)
	if wrong != nil {
		return nil, wrong
	}
	token := &authcore.AccessToken{
		Issuer: c.Issuer, Service: c.Service, ClientID: client.ClientID, Subject: c.params.text("authenticated_userid"), Scopes: scopes,
	}
	text, err := c.Store.IssueToken(c.r.Context(), token, authcore.Terms{AccessTTL: c.Profile.tokenTTL(), NewText: newText}, c.MaxTokens)
	return &authcore.Tokens{Access: token, AccessText: text}, err
}

// answer is the answer with tokens. Kong does not say which scopes were granted.
func (c *call) answer(tokens *authcore.Tokens) {
	body := map[string]json.RawMessage{"access_token": quote(tokens.AccessText), "token_type": quote("bearer")}
	if ttl := lifetime(tokens.Access); ttl > 0 {
		body["expires_in"] = json.RawMessage(strconv.FormatInt(ttl, 10))
	}
	if tokens.RefreshText != "" {
		body["refresh_token"] = quote(tokens.RefreshText)
	}
	if c.Profile.isRFC() {
		body["token_type"] = quote("Bearer")
		body["scope"] = quote(strings.Join(tokens.Access.Scopes, " "))
	} else {
		c.addState(body)
	}
	c.json(http.StatusOK, body)
}

// lifetime is how many seconds a new token is good; 0: it never expires. It is what is
// configured, whatever part of a second it took to issue the token.
func lifetime(t *authcore.AccessToken) int64 {
	if t.ExpiresAt.IsZero() {
		return 0
	}
	return int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second)
}
