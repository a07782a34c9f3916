// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/caddyserver/caddy/v2"
)

// secretNames are parts of names whose values are secrets.
var secretNames = regexp.MustCompile(`(?i)secret|passw|passphrase|pwd|credential|private|authorization|cookie|api[-_]?key|access[-_]?key|session[-_]?id|signature|connection_?string|(^|[-_])(token|key|keys|salt|pin|hash|psk|hmac|dsn|jwt|auth|pass|seed|bearer)$|[a-z](Token|Key|Dsn|Hash)$`)

// notSecret are members whose names look like those of secrets and that are settings.
var notSecret = []string{
	"hash_algorithm", "cookie_name", "cookie_domain", "cookie_path", "cookie_same_site", "pass_credentials", "hide_credentials", "query_credentials", "private_ranges", "hash_secret",
}

// IsSecretName reports whether the value of a member is a secret by its name.
func IsSecretName(name string) bool {
	return name != "" && !slices.Contains(notSecret, name) && secretNames.MatchString(name)
}

// isPlaceholder reports whether a value consists of placeholders. One with a default,
// as in {$SECRET:value}, is none.
func isPlaceholder(value string) bool { return placeholders.MatchString(value) }

var placeholders = regexp.MustCompile(`^(\{([a-zA-Z_][a-zA-Z0-9_.$/:-]*|\$[a-zA-Z_][a-zA-Z0-9_]*)\})+$`)

// isForeign reports whether a handler is neither the gateway's nor part of Caddy.
func isForeign(name any) bool {
	text, _ := name.(string)
	return !strings.HasPrefix(text, "gluu_") && !modules()[text]
}

// keyParts are the members of a private JWK, of which only long values count.
var keyParts = map[string]bool{"d": true, "k": true, "p": true, "q": true, "dp": true, "dq": true, "qi": true}

// isKeyPart reports whether a member is one of a private key.
func isKeyPart(name, value string) bool { return keyParts[name] && len(value) >= 16 }

// isPasswordName reports whether a number under a name is a secret.
func isPasswordName(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "password") || strings.Contains(name, "secret") || name == "pin" || name == "pass"
}

// Values that are secrets under any name.
var secretValues = []*regexp.Regexp{
	// In an address, in a header field, PEM, JWTs, hashes of passwords, in a query.
	regexp.MustCompile(`(?i)://[^/@\s]*:[^/@\s]+@|^\s*(bearer|basic|dpop|digest|token|apikey)\s+\S|-----BEGIN |\beyJ[A-Za-z0-9_-]{8,}\.|^\$(argon2|2[abxy]|pbkdf2|scrypt|5|6|y|apr1)|[?&](access_token|token|api_key|apikey|key|password|secret|client_secret|sig|signature)=`),
	regexp.MustCompile(`(?i)\b(password|passwd|pwd|secret|api_?key|access_token)=[^&\s{]`),
	regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-|\bsk_(live|test)_|\bglpat-`),
	regexp.MustCompile(`"(d|k|p|q|dp|dq|qi)" *: *"[A-Za-z0-9_-]{16,}"`), // private JWKs
}

// looksSecret reports whether a value is a secret whatever its name.
func looksSecret(value string) bool {
	for _, pattern := range secretValues {
		if pattern.MatchString(value) {
			return true
		}
	}
	return isRandom(value)
}

// Text returns a text, and if it looks like a secret what stands for one.
func Text(text string) string {
	if looksSecret(text) {
		return Hidden
	}
	return text
}

var opaque = regexp.MustCompile(`^[A-Za-z0-9_+/=~-]{24,}$`)

// isRandom reports whether a value could have been drawn: long, in one piece, of both
// letters and digits. UUIDs name things.
func isRandom(value string) bool {
	if !opaque.MatchString(value) || isUUID.MatchString(value) || strings.HasPrefix(value, "/") {
		return false
	}
	digits, changes, last := 0, 0, 0
	for _, r := range value {
		class := 1
		if unicode.IsDigit(r) {
			digits++
			class = 2
		} else if unicode.IsUpper(r) {
			class = 3
		}
		if last != 0 && class != last {
			changes++
		}
		last = class
	}
	return digits >= 2 && changes >= 6
}

var isUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// selectors are the members that name the module of their object.
var selectors = map[string]bool{"handler": true, "module": true, "name": true, "source": true, "output": true, "format": true, "via": true, "provider": true, "dialer": true, "protocol": true, "policy": true}

// modules says for the last label of each module whether all that have it are Caddy's
// or the gateway's.
var modules = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil {
			continue
		}
		name := info.ID.Name()
		ours, seen := known[name]
		known[name] = isOurs(info) && (ours || !seen)
	}
	return known
})

func isOurs(info caddy.ModuleInfo) bool {
	t := reflect.TypeOf(info.New())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	path := t.PkgPath()
	return strings.HasPrefix(path, "github.com/caddyserver/caddy/v2") || strings.HasPrefix(path, "github.com/caddy-gluu/gateway")
}

func isModule(name string) bool { _, ok := modules()[name]; return ok }

// ownerOf reports whether an object is that of another party's module. Only handler and
// module say that it is not: other members may mean something else there.
func ownerOf(object map[string]any, isOther bool) bool {
	for _, name := range []string{"handler", "module"} {
		if module, ok := object[name].(string); ok {
			ours := modules()[module]
			return !ours && (name != "handler" || !strings.HasPrefix(module, "gluu_"))
		}
	}
	for name := range selectors {
		if module, ok := object[name].(string); ok {
			if ours, known := modules()[module]; known && !ours {
				return true
			}
		}
	}
	return isOther
}

// ownerOfName is the same for modules whose name is that of the member.
func ownerOfName(name string, isOther bool) bool {
	if ours, known := modules()[name]; known && !ours {
		return true
	}
	return isOther
}
