// SPDX-License-Identifier: Apache-2.0

package kongconfig

// kind is what is known of a plugin.
type kind struct {
	priority   int  // Kong's: the greatest runs first
	noConsumer bool // it cannot be for a consumer
	remedy     string

	// read reads the config and returns what to do on a route; nil if the
	// plugin cannot be kept.
	read func(f *file, p *plugin) builder
}

// kinds are the plugins by name. What is not here is refused as unknown.
var kinds map[string]kind

const useOAuth = "use gluu-oauth-auth with an authorization server, or the plugin oauth2; or set GLUU_KONG_UNSUPPORTED=close to answer 501 on its routes"

func init() {
	kinds = map[string]kind{
		"correlation-id":          {priority: 100001, read: readCorrelationID},
		"zipkin":                  {priority: 100000, read: readTracing},
		"opentelemetry":           {priority: 14, read: readTracing},
		"bot-detection":           {priority: 2500, read: readBotDetection, noConsumer: true},
		"cors":                    {priority: 2000, read: readCORS, noConsumer: true},
		"acme":                    {priority: 1705, read: readACME, noConsumer: true},
		"oauth2":                  {priority: 1400, read: readOAuth2, noConsumer: true},
		"oauth2-introspection":    {priority: 1700, read: readIntrospection, noConsumer: true},
		"gluu-oauth-auth":         {priority: 999, read: readGluuOAuthAuth, noConsumer: true},
		"gluu-uma-auth":           {priority: 998, read: readGluuUMAAuth, noConsumer: true},
		"gluu-openid-connect":     {priority: 997, read: readGluuOpenIDConnect, noConsumer: true},
		"gluu-oauth-pep":          {priority: 995, read: readGluuOAuthPEP, noConsumer: true},
		"gluu-uma-pep":            {priority: 994, read: readGluuUMAPEP, noConsumer: true},
		"gluu-opa-pep":            {priority: 993, read: readGluuOPAPEP, noConsumer: true},
		"ip-restriction":          {priority: 990, read: readIPRestriction},
		"request-size-limiting":   {priority: 951, read: readRequestSize},
		"acl":                     {priority: 950, read: readACL, noConsumer: true},
		"rate-limiting":           {priority: 910, read: readRateLimiting},
		"request-transformer":     {priority: 801, read: readRequestTransformer},
		"response-transformer":    {priority: 800, read: readResponseTransformer},
		"redirect":                {priority: 779, read: readRedirect},
		"request-termination":     {priority: 2, read: readTermination},
		"gluu-metrics":            {priority: 14, read: readMetrics},
		"prometheus":              {priority: 13, read: readMetrics},
		"http-log":                {priority: 12, read: readLog},
		"file-log":                {priority: 9, read: readLog},
		"tcp-log":                 {priority: 7, read: readLog},
		"udp-log":                 {priority: 8, read: readLog},
		"syslog":                  {priority: 4, read: readLog},
		"loggly":                  {priority: 6, read: readLog},
		"datadog":                 {priority: 10, read: readLog},
		"statsd":                  {priority: 11, read: readLog},
		"kafka-log":               {priority: 5, read: readLog},
		"gluu-client-auth":        {remedy: "its successors are gluu-oauth-auth and gluu-uma-auth: write one of them"},
		"gluu-pep":                {remedy: "its successors are gluu-oauth-pep and gluu-uma-pep: write one of them"},
		"gluu-oauth2-client-auth": {remedy: "its successor is gluu-oauth-auth: write that"},
		"gluu-oauth2-rs":          {remedy: "its successors are gluu-oauth-pep and gluu-uma-pep: write one of them"},

		"openid-connect":                {remedy: "write gluu-openid-connect with op_url (its issuer), client_id, client_secret, authorization_redirect_path, requested_scopes (its scopes) and logout_path for logins, or gluu-oauth-auth for bearer tokens"},
		"key-auth":                      {remedy: useOAuth},
		"key-auth-enc":                  {remedy: useOAuth},
		"basic-auth":                    {remedy: useOAuth},
		"hmac-auth":                     {remedy: useOAuth},
		"jwt":                           {remedy: "use gluu-oauth-auth with the issuer of the tokens as op_url; or set GLUU_KONG_UNSUPPORTED=close to answer 501 on its routes"},
		"jwt-signer":                    {remedy: useOAuth},
		"ldap-auth":                     {remedy: useOAuth},
		"mtls-auth":                     {remedy: useOAuth},
		"session":                       {remedy: "gluu-openid-connect keeps sessions by itself: remove session"},
		"opa":                           {remedy: "use gluu-opa-pep"},
		"pre-function":                  {remedy: "Lua does not run here: use other plugins, or remove it if nothing depends on it"},
		"post-function":                 {remedy: "Lua does not run here: use other plugins, or remove it if nothing depends on it"},
		"request-transformer-advanced":  {remedy: "use request-transformer"},
		"response-transformer-advanced": {remedy: "use response-transformer"},
		"rate-limiting-advanced":        {remedy: "use rate-limiting"},
	}
}

// answer answers each request with a status and a text in the form of Kong's
// errors.
func answer(status int, message string) map[string]any {
	return staticJSON(status, map[string]any{"message": message})
}
