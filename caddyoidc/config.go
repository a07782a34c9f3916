// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// Config is the configuration of the handler.
type Config struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The name of a provider of the app `gluu` at which people log in. Default:
	// `default`, unless the handler describes a provider of its own with the
	// fields below.
	Provider string `json:"provider,omitempty"`

	// A provider for this handler alone, in the same words as in the app.
	provider.Config

	// The origin under which browsers reach this site, as in
	// `https://app.example.com`. Addresses that are registered at the OpenID
	// Provider are made of it, never of what a request says. Default: the host of
	// the request, if it is one that the site names.
	BaseURL string `json:"base_url,omitempty"`

	// The path that the OpenID Provider sends people back to. Register it there,
	// behind the origin, as the redirect URI. Default: `/callback`.
	AuthorizationRedirectPath string `json:"authorization_redirect_path,omitempty"`

	// The path that logs a person out, here and at the OpenID Provider. Default:
	// none.
	LogoutPath string `json:"logout_path,omitempty"`

	// Where a person goes after the logout: a path of this site, which then needs
	// no login, or another address. Register it at the OpenID Provider. Default:
	// `/`.
	PostLogoutRedirectPathOrURL string `json:"post_logout_redirect_path_or_url,omitempty"`

	// The path at which the OpenID Provider ends sessions by itself (OpenID
	// Connect Back-Channel Logout). Default: none.
	BackchannelLogoutPath string `json:"backchannel_logout_path,omitempty"`

	// The path that the OpenID Provider loads in a frame to end the session of
	// this browser (OpenID Connect Front-Channel Logout). Default: none.
	FrontchannelLogoutPath string `json:"frontchannel_logout_path,omitempty"`

	// The path at which others may start a login (OpenID Connect Core, section
	// 4). Default: none.
	InitiateLoginPath string `json:"initiate_login_path,omitempty"`

	// The scopes to ask for. Default: `openid`, `email`, `profile`.
	RequestedScopes []string `json:"requested_scopes,omitempty"`

	// Further parameters of the authorization request, with fixed values.
	AuthorizationParams []AuthorizationParam `json:"authorization_params,omitempty"`

	// The APIs that the access token is for (RFC 8707). Default: none.
	Resources []string `json:"resource,omitempty"`

	// Whether the authorization request is pushed to the OpenID Provider first
	// (RFC 9126): `auto` where its metadata requires it, `on`, `off`. Default:
	// `auto`.
	PAR string `json:"par,omitempty"`

	// How people must have logged in, by path and method: a list of
	// `{"path": "...", "conditions": [{"httpMethods": ["GET"], "required_acrs":
	// ["..."], "no_auth": false}]}`, or a string that holds one. What it does not
	// name needs a login of any kind.
	RequiredACRsExpression json.RawMessage `json:"required_acrs_expression,omitempty"`

	// A file with such a list. It is read when the configuration loads.
	RequiredACRsExpressionFile string `json:"required_acrs_expression_file,omitempty"`

	// Whether a required authentication context is asked for as an essential
	// claim in addition to `acr_values`: `essential` or `voluntary`. Default:
	// `essential`.
	ACR string `json:"acr,omitempty"`

	// How old an ID token may be. A session with an older one is renewed, without
	// the person noticing. Default: `1h`.
	MaxIDTokenAge caddy.Duration `json:"max_id_token_age,omitempty"`

	// How long ago a person may have authenticated. Then a new login is needed.
	// Default: `24h`.
	MaxIDTokenAuthAge caddy.Duration `json:"max_id_token_auth_age,omitempty"`

	// Accept ID tokens without `auth_time`, for OpenID Providers that have none.
	// The age is then counted from when the ID token was issued. Default: false.
	MaxIDTokenAuthAgeOptional bool `json:"max_id_token_auth_age_optional,omitempty"`

	// How long a session lasts without a request. `0` switches this off. Default:
	// `1h`.
	IdleTimeout *caddy.Duration `json:"idle_timeout,omitempty"`

	// How long a session lasts at the most. Default: `12h`.
	SessionMaxAge caddy.Duration `json:"session_max_age,omitempty"`

	// By how much the clock of the OpenID Provider may be wrong. Default: `30s`.
	ClockLeeway *caddy.Duration `json:"clock_leeway,omitempty"`

	// Whether sessions are renewed with a refresh token, if the OpenID Provider
	// gives one. Default: true.
	Refresh *bool `json:"refresh,omitempty"`

	// Whether the userinfo endpoint is asked about the person. Default: true.
	Userinfo *bool `json:"userinfo,omitempty"`

	// How often it is asked again. Default: with each renewal.
	UserinfoInterval caddy.Duration `json:"userinfo_interval,omitempty"`

	// What happens to a request without a session. `auto` sends people who open a
	// page to log in and answers 401 to everything else, `login` sends nearly
	// every request to log in, `deny` answers 401 to all, `pass` lets them through
	// as the consumer named by `anonymous`, or without an identity. Default:
	// `auto`.
	Unauthenticated string `json:"unauthenticated,omitempty"`

	// Whether a form that was submitted without a session is submitted again after
	// the login. Its body waits on the server. Default: false.
	RestoreOriginalAuthParams bool `json:"restore_original_auth_params,omitempty"`

	// The largest body that waits, in bytes. A larger one is answered 413.
	// Default: 65536.
	RestoreMaxBody int64 `json:"restore_max_body,omitempty"`

	// Whether the part of the address after the `#` survives the login. It takes
	// a page with a small script before and after it. Default: false.
	KeepFragment bool `json:"keep_fragment,omitempty"`

	// Where a person goes who logged in without having asked for a page. Default:
	// `/`.
	LandingPath string `json:"landing_path,omitempty"`

	// The name of the session cookie. Default: `__Host-gluu_session`, on plain
	// http `gluu_session`.
	CookieName string `json:"cookie_name,omitempty"`

	// The domain of the cookies, to share a session between sites. Every site of
	// the domain can read and set them then. Default: none, only this host.
	CookieDomain string `json:"cookie_domain,omitempty"`

	// SameSite of the session cookie: `lax`, `strict` or `none`. Default: `lax`.
	CookieSameSite string `json:"cookie_same_site,omitempty"`

	// Whether a request with a Bearer token is authenticated by it, as by
	// `gluu_oauth_auth`. Default: false.
	AcceptBearer bool `json:"accept_bearer,omitempty"`

	// Whether the upstream receives the access token of the person, in the
	// Authorization header. Default: false.
	AccessTokenUpstream bool `json:"access_token_upstream,omitempty"`

	// The claim of the ID token by which the consumer is found: among the
	// `custom_id`s, then among the usernames. Default: none.
	ConsumerClaim string `json:"consumer_claim,omitempty"`

	// The username or id of the consumer that a request without a session is,
	// with `unauthenticated pass`. Default: none.
	Anonymous string `json:"anonymous,omitempty"`

	// Whether a person who is not a consumer is refused. Default: false.
	ConsumerMapping bool `json:"consumer_mapping,omitempty"`

	// Whether the standard headers are sent to the upstream. What a client sends
	// under these names is removed in any case. Default: true.
	UpstreamHeaders *bool `json:"upstream_headers,omitempty"`

	// Headers of your own for the upstream, from `id_token`, `userinfo`,
	// `access_token` and `consumer`.
	CustomHeaders []headers.HeaderConfig `json:"custom_headers,omitempty"`

	// The signature algorithm of headers of the format `jwt`: `ES256`, `RS256`,
	// `EdDSA` or `none`. Default: `ES256`, or what the signing key of the app is
	// for.
	PhantomTokenAlg string `json:"phantom_token_alg,omitempty"`

	// The protection space that challenges name. Default: `api`.
	Realm string `json:"realm,omitempty"`

	// When WebSockets, event streams and gRPC calls end that began with a session.
	// Default: with the session's access token, unless it is renewed.
	Streams *streams.Config `json:"streams,omitempty"`
}

// AuthorizationParam is a parameter of the authorization request.
type AuthorizationParam struct {
	// The name. It cannot be one that the gateway sets itself.
	Name string `json:"name"`

	// The value, the same for everyone.
	Value string `json:"value"`
}
