// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "strings"

// In a Caddyfile some names in braces are placeholder shorthands, which Caddy
// expands before a directive sees them: the pattern /files/{path} arrives as
// /files/{http.request.uri.path}. That is a valid regular expression, but not
// the one that was written, so it is refused.

// shorthands maps placeholders to their Caddyfile shorthands. A name that ends
// with a dot is a prefix. The longest match wins.
var shorthands = map[string]string{
	"http.request.host":                              "host",
	"http.request.hostport":                          "hostport",
	"http.request.port":                              "port",
	"http.request.orig_method":                       "orig_method",
	"http.request.orig_uri":                          "orig_uri",
	"http.request.orig_uri.path":                     "orig_path",
	"http.request.orig_uri.path.dir":                 "orig_dir",
	"http.request.orig_uri.path.file":                "orig_file",
	"http.request.orig_uri.query":                    "orig_query",
	"http.request.orig_uri.prefixed_query":           `orig_\?query`,
	"http.request.method":                            "method",
	"http.request.uri":                               "uri",
	"http.request.uri_escaped":                       "%uri",
	"http.request.uri.path":                          "path",
	"http.request.uri.path_escaped":                  "%path",
	"http.request.uri.path.dir":                      "dir",
	"http.request.uri.path.file":                     "file",
	"http.request.uri.query":                         "query",
	"http.request.uri.query_escaped":                 "%query",
	"http.request.uri.prefixed_query":                `\?query`,
	"http.request.remote":                            "remote",
	"http.request.remote.host":                       "remote_host",
	"http.request.remote.port":                       "remote_port",
	"http.request.scheme":                            "scheme",
	"http.request.uuid":                              "uuid",
	"http.request.tls.cipher_suite":                  "tls_cipher",
	"http.request.tls.version":                       "tls_version",
	"http.request.tls.client.fingerprint":            "tls_client_fingerprint",
	"http.request.tls.client.issuer":                 "tls_client_issuer",
	"http.request.tls.client.serial":                 "tls_client_serial",
	"http.request.tls.client.subject":                "tls_client_subject",
	"http.request.tls.client.certificate_pem":        "tls_client_certificate_pem",
	"http.request.tls.client.certificate_der_base64": "tls_client_certificate_der_base64",
	"http.reverse_proxy.upstream.hostport":           "upstream_hostport",
	"http.vars.client_ip":                            "client_ip",

	"http.request.":               "http.request.", // never meant as an expression
	"http.request.header.":        "header.",
	"http.request.cookie.":        "cookie.",
	"http.request.host.labels.":   "labels.",
	"http.request.uri.path.":      "path.",
	"http.request.uri.path.file.": "file.",
	"http.request.uri.query.":     "query.",
	"http.regexp.":                "re.",
	"http.vars.":                  "vars.",
	"http.reverse_proxy.":         "rp.",
	"http.intercept.":             "resp.",
	"http.error.":                 "err.",
	"http.matchers.file.":         "file_match.",
}

// expandedPlaceholder reports whether the text in braces is a Caddy placeholder,
// and returns its shorthand.
func expandedPlaceholder(source string) (shorthand string, ok bool) {
	if s, ok := shorthands[source]; ok {
		return s, true
	}
	for name := source; ; {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return "", false
		}
		if s, ok := shorthands[name[:dot+1]]; ok {
			return s + source[dot+1:], true
		}
		name = name[:dot]
	}
}
