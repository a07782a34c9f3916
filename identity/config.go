// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// Config is the configuration that authentication handlers share.
type Config struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The name of a provider of the app `gluu` that verifies the tokens.
	// Default: `default`, unless the handler describes a provider of its own
	// with the fields below.
	Provider string `json:"provider,omitempty"`

	// The names of several providers of the app `gluu`, instead of one. A JWT is
	// verified by the one whose issuer it names in `iss`, with the keys of that one
	// alone; every other token by the first one that introspects. In a Caddyfile
	// they are the values of the directive.
	Providers []string `json:"providers,omitempty"`

	// A provider for this handler alone, in the same words as in the app.
	provider.Config

	// The username or id of the consumer that a caller without a valid token
	// is. Such a request goes on with the header `X-Anonymous-Consumer: true`
	// and without its credential. To a handler that enforces rules it is a
	// request without a token. Default: none, such callers get 401.
	Anonymous string `json:"anonymous,omitempty"`

	// When a caller is the anonymous consumer: `failed`, without a token and with an
	// invalid one; `missing`, only without a token, so that an invalid one is
	// answered 401. Default: `failed`.
	AnonymousOn string `json:"anonymous_on,omitempty"`

	// Where the token is looked for. Two tokens in different places are answered
	// 400, unless `several_tokens` says otherwise. A token outside the Authorization
	// header does not reach the upstream, whatever `pass_credentials` says. Default:
	// the Authorization header alone; with any place, only those that are named.
	TokenFrom []TokenPlace `json:"token_from,omitempty"`

	// What becomes of a request with tokens in several of these places: `refuse`
	// answers it 400, as RFC 6750 asks; `first` takes the token of the first place
	// in the order of `token_from`, and removes the others. Two tokens in one place
	// are answered 400 in any case. Default: `refuse`.
	SeveralTokens string `json:"several_tokens,omitempty"`

	// Whether a caller without a token goes on without an identity, for rules that
	// are `public`. An enforcing handler answers 401 on behalf of all other rules,
	// so there must be one behind this handler. An invalid token is still answered
	// 401. Cannot be combined with `anonymous`. Default: false.
	Optional bool `json:"optional,omitempty"`

	// What becomes of the credential of a verified caller: `pass` leaves the
	// Authorization header as it is, `hide` removes it, `phantom_token` puts a
	// JWT with the token's claims in its place, signed by the gateway; a token
	// that is a JWT itself is left as it is. Default: `pass`.
	PassCredentials string `json:"pass_credentials,omitempty"`

	// Whether a token is refused whose client id is not the `custom_id` of a
	// consumer. Default: true.
	ConsumerMapping *bool `json:"consumer_mapping,omitempty"`

	// When WebSockets, event streams and gRPC calls end that began with a token of
	// this handler. Default: with their token.
	Streams *streams.Config `json:"streams,omitempty"`

	// Whether the standard headers are sent to the upstream: X-Consumer-ID,
	// X-Consumer-Custom-ID, X-Consumer-Username, X-OAuth-Client-ID,
	// X-OAuth-Expiration, X-Authenticated-Scope, X-Authenticated-Userid. What a
	// client sends under these names is removed in any case. Default: true.
	UpstreamHeaders *bool `json:"upstream_headers,omitempty"`

	// Headers of your own for the upstream, from the token's claims
	// (`introspect_data`) and the consumer (`consumer`).
	CustomHeaders []headers.HeaderConfig `json:"custom_headers,omitempty"`

	// The signature algorithm of phantom tokens and of headers of the format
	// `jwt`: `ES256`, `RS256`, `EdDSA` or `none`. With `none` they are not
	// signed, and an upstream that accepts them believes everybody who can
	// reach it. Default: `ES256`, or what the signing key of the app is for.
	PhantomTokenAlg string `json:"phantom_token_alg,omitempty"`

	// Authenticate and record, but refuse nothing and leave the credential as it
	// is, to rehearse a rollout in front of live traffic. A request that would be
	// refused reaches the upstream without identity headers. Default: false.
	DryRun bool `json:"dry_run,omitempty"`

	// The protection space that challenges name. Default: `api`.
	Realm string `json:"realm,omitempty"`
}

// When a caller is the anonymous consumer.
const (
	onFailed  = "failed"
	onMissing = "missing"
)

// What becomes of a credential.
const (
	passCredentials = "pass"
	hideCredentials = "hide"
	phantomToken    = "phantom_token"
)

// expressionVars are the variables of custom headers.
var expressionVars = []string{"introspect_data", "consumer"}

// check refuses what cannot be right whatever else is configured. It is called
// by the Caddyfile parser, to name the line, and when a handler is
// provisioned.
func (c *Config) check() error {
	if err := c.checkProviders(); err != nil {
		return err
	}
	if c.Provider != "" && c.hasOwnProvider() {
		return fmt.Errorf("provider %q is named and another one is described: leave out the name, or the settings of the other (issuer, client_id, ...)", c.Provider)
	}
	if c.Optional && c.Anonymous != "" {
		return fmt.Errorf("optional and anonymous %q exclude each other: with anonymous, a caller without a token is that consumer; keep one of the two", c.Anonymous)
	}
	if c.hasOwnProvider() {
		if err := c.Config.Check(); err != nil {
			return err
		}
	}
	if err := c.checkValues(); err != nil {
		return err
	}
	if err := c.Streams.Check(); err != nil {
		return err
	}
	if c.AnonymousOn != "" && c.Anonymous == "" {
		return fmt.Errorf("anonymous_on %s has no effect without an anonymous consumer: write 'anonymous <consumer>', or remove it", c.AnonymousOn)
	}
	if c.SeveralTokens != "" && len(c.TokenFrom) < 2 {
		return fmt.Errorf("several_tokens %s has no effect with one place: name the places with token_from, or remove it", c.SeveralTokens)
	}
	set, err := headers.CompileSet(c.CustomHeaders, expressionVars...)
	if err != nil {
		return err
	}
	if err := c.checkPlaceNames(set); err != nil {
		return err
	}
	if c.PhantomTokenAlg != "" && c.PassCredentials != phantomToken && !set.NeedsSigning() {
		return errors.New("phantom_token_alg has no effect: nothing is signed without 'pass_credentials phantom_token' or a header with the format jwt")
	}
	return nil
}

// checkProviders refuses lists of providers that say two things.
func (c *Config) checkProviders() error {
	switch {
	case len(c.Providers) == 0:
		return nil
	case c.Provider != "":
		return fmt.Errorf("provider %q and providers %q are both given: put all names into providers", c.Provider, c.Providers)
	case c.hasOwnProvider():
		return fmt.Errorf("providers %q are named and another one is described: leave out the names, or the settings of the other (issuer, client_id, ...)", c.Providers)
	}
	for i, name := range c.Providers {
		switch {
		case name == "":
			return errors.New("providers names providers of the app; one of the names is empty")
		case slices.Contains(c.Providers[:i], name):
			return fmt.Errorf("providers names %q twice: keep one of them", name)
		}
	}
	return nil
}

// checkValues refuses what is wrong with an option by itself, whatever the
// others are. The Caddyfile parser calls it after each, to name its line.
func (c *Config) checkValues() error {
	switch c.PassCredentials {
	case "", passCredentials, hideCredentials, phantomToken:
	default:
		return fmt.Errorf("pass_credentials is pass, hide or phantom_token, not %q", c.PassCredentials)
	}
	switch c.AnonymousOn {
	case "", onFailed, onMissing:
	default:
		return fmt.Errorf("anonymous_on is failed or missing, not %q", c.AnonymousOn)
	}
	switch c.SeveralTokens {
	case "", refuseTokens, firstToken:
	default:
		return fmt.Errorf("several_tokens is refuse or first, not %q", c.SeveralTokens)
	}
	if err := c.checkPlaces(); err != nil {
		return err
	}
	switch c.PhantomTokenAlg {
	case "", headers.AlgorithmES256, headers.AlgorithmRS256, headers.AlgorithmEdDSA, headers.AlgorithmNone:
	default:
		return fmt.Errorf("phantom_token_alg is ES256, RS256, EdDSA or none, not %q", c.PhantomTokenAlg)
	}
	switch {
	case strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("realm %q contains characters that a challenge cannot: use printable ASCII", c.Realm)
	case strings.Contains(c.Realm, "{"):
		return fmt.Errorf("realm %q is a fixed text, in which placeholders are not replaced: write the text itself", c.Realm)
	}
	return nil
}

// hasOwnProvider reports whether the handler describes a provider itself.
func (c *Config) hasOwnProvider() bool {
	return !reflect.ValueOf(c.Config).IsZero()
}

func enabled(option *bool) bool { return option == nil || *option }
