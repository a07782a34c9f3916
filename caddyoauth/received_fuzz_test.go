// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
)

// What is decided on is what the upstream receives, whatever a client writes
// into its request line and whatever Caddy's own handlers make of it before
// the decision. The request goes through a real server, and a real
// reverse_proxy writes the line that is judged here, with a decoder and a
// matcher that share nothing with those of the gateway.

// uriHandlers are the handlers of Caddy that change what is asked for. A
// request goes through up to three of them, in any order; its header X-Target
// is at the disposal of those that take it from the request.
var uriHandlers = []string{
	"uri strip_prefix /api",
	"uri strip_prefix /public",
	"uri strip_prefix /%2e%2e",
	"uri strip_prefix api",
	"uri strip_prefix {header.X-Target}",
	"uri strip_suffix .html",
	"uri strip_suffix /x",
	"uri strip_suffix {header.X-Target}",
	"uri replace /api/ /",
	"uri replace %2e .",
	"uri replace .. admin",
	"uri replace x {header.X-Target}",
	"uri path_regexp ^/api/ /",
	`uri path_regexp \.\. public`,
	"uri path_regexp x /",
	"uri path_regexp ^/([^/]*)/(.*)$ /$2/$1",
	"uri query x admin",
	"uri query -x",
	"rewrite * {uri}",
	"rewrite * {path}",
	"rewrite * {path}?{query}",
	"rewrite * /public{uri}",
	"rewrite * /public/{query}",
	"rewrite * /public/{query.x}",
	"rewrite * /public/{header.X-Target}",
	"rewrite * /{http.request.uri.path.0}/{http.request.uri.path.1}",
	"rewrite * {header.X-Target}",
	"rewrite * {http.request.orig_uri}",
	"rewrite * ?{query}&y",
	"rewrite * /admin",
	"rewrite * /a%2Fb/../{path}",
	"try_files {path} {path}/x /public/index.html",
	"try_files {header.X-Target} /public/index.html?{query}",
	"method GET",
	"method POST",
	"method {header.X-Target}",
}

const maxSteps = 3

// receivedRules are the rules of the test, those first that are preferred:
// so the first that fits is the right one.
var receivedRules = []struct {
	pattern, scope string
	methods        []string
	fits           *regexp.Regexp
}{
	{"/admin", "admin", []string{"?"}, regexp.MustCompile(`^/admin$`)},
	{"/admin/??", "admin", []string{"?"}, regexp.MustCompile(`(?s)^/admin(/.*)?$`)},
	{"/own/?", "^own:(?<PC1>.+)$", []string{"GET"}, regexp.MustCompile(`^/own/[^/]*$`)},
	{"/item/{[0-9]+}/x", "item", []string{"GET", "POST"}, regexp.MustCompile(`^/item/[0-9]+/x$`)},
	{"/item/?/x", "item", []string{"GET"}, regexp.MustCompile(`^/item/[^/]*/x$`)},
	{"/a/??/z", "item", []string{"?"}, regexp.MustCompile(`(?s)^/a(/.*)?/z$`)},
	{"/public/??", "public", []string{"GET", "PUT"}, regexp.MustCompile(`(?s)^/public(/.*)?$`)},
	{"/?/edit", "admin", []string{"POST"}, regexp.MustCompile(`^/[^/]*/edit$`)},
	{"/??", "admin", []string{"?"}, regexp.MustCompile(`(?s)^/`)},
}

// catchAll is the last rule, which the open variants go without.
const catchAll = "/??"

// receivedRule finds the rule for what the upstream received: its pattern and
// scope, "" for none.
func receivedRule(method, path string, open bool) (pattern, scope string) {
	for _, rule := range receivedRules {
		if open && rule.pattern == catchAll {
			continue
		}
		named := slices.Contains(rule.methods, method) || slices.Contains(rule.methods, "?") ||
			method == "HEAD" && slices.Contains(rule.methods, "GET")
		if named && rule.fits.MatchString(path) {
			return rule.pattern, rule.scope
		}
	}
	return "", ""
}

// receivedCallers are who may call: the scopes that a token has, by its name.
var receivedCallers = []struct{ token, scopes string }{
	{"", ""},
	{"one", "public own:me"},
	{"all", "public admin item own:me own:you"},
}

// variants of the handler under test.
var receivedVariants = []struct {
	name              string
	allow, open, keep bool
}{
	{"reject", false, false, false}, {"allow", true, false, false}, {"reject-open", false, true, false}, {"allow-open", true, true, false},
	{"keep", false, false, true}, {"allow-keep-open", true, true, true},
}

// decidedOn is the path of the last decision.
var decidedOn struct {
	sync.Mutex
	path string
}

// recordingPEP is the handler under test, that remembers what it decides on.
type recordingPEP struct{ OAuthPEP }

func (*recordingPEP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_recording_pep",
		New: func() caddy.Module { return new(recordingPEP) },
	}
}

func (p *recordingPEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return p.Enforce(w, r, next, func(req enforce.Request) *identity.Refusal {
		decidedOn.Lock()
		decidedOn.path = req.Path
		decidedOn.Unlock()
		return decide(req)
	})
}

func init() {
	caddy.RegisterModule(new(recordingPEP))
	httpcaddyfile.RegisterHandlerDirective("gluu_recording_pep", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		p := new(recordingPEP)
		return p, p.UnmarshalCaddyfile(h.Dispenser)
	})
}

// decodeOnce decodes a path, with nothing of net/url.
func decodeOnce(path string) (string, error) {
	var out []byte
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			out = append(out, path[i])
			continue
		}
		if i+3 > len(path) {
			return "", fmt.Errorf("an escape that breaks off at %d", i)
		}
		c, err := strconv.ParseUint(path[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		out = append(out, byte(c))
		i += 2
	}
	return string(out), nil
}

// receivedInput is a request line without its version, a target for the
// handlers that take one, the handlers to go through, and whether handle_path
// wraps them all.
type receivedInput struct {
	line, target string
	steps        []byte
	strip        bool
}

// receivedSeeds are hostile targets, each by itself, through a prefix that is
// stripped, through a handler that takes it from elsewhere, and through some
// handler.
func receivedSeeds(t testing.TB) (inputs []receivedInput) {
	index := func(handler string) byte {
		i := slices.Index(uriHandlers, handler)
		if i < 0 {
			t.Fatalf("unknown handler %q", handler)
		}
		return byte(i)
	}
	more := []string{"/api/public/x", "/api/admin/x", "/own/me", "/own/m%65?x=../admin", "/item/1/x", "/a/b/c/z", "/public/x.html?x=/../admin",
		"/public/a%2Bb+c%26&%3d=%40@%3A:%2C,%24$", "/public/%21!%27'%28(%29)%2a*", "/public/%5b%5D[]", "//public//%2B/%7e",
		"/public/a%2Fb%2fc", "/public/a%2fb^", `/public/a%2fb"<>`, "/public/a%2Fb#", "/public/a%2f^", "/own/me%2fyou", "/item/1%2f2/x", "/public%2fx/edit", "/a%2fb/z/edit",
		"/public/a%2F", "/public/%2Fa", "/public/a%2F%2Fb", "/public/a%2F..", "/public/..%2Fa", "/public/a%2F.%00.", "/public/a%2F;b", "/public/%2f^"}
	for i, target := range slices.Concat(more, hostileTargets) {
		inputs = append(inputs,
			receivedInput{"GET " + target, "", nil, false},
			receivedInput{"GET /api" + target, "/..", []byte{index("uri strip_prefix /api")}, true},
			receivedInput{"GET /x?" + target, target, []byte{index("rewrite * /public/{query}"), index("rewrite * {path}")}, false},
			receivedInput{"POST /x", target, []byte{index("rewrite * {header.X-Target}"), index("method GET")}, false},
			receivedInput{"GET /api" + target, "/public/..%2fx", []byte{byte(i % len(uriHandlers))}, i%2 == 0},
		)
	}
	// No method at all, which is sent as GET.
	return append(inputs, receivedInput{"POST /api/public/x", "", []byte{index("method {header.X-Target}"), index("uri path_regexp ^/api/ /")}, false})
}

// All pairs of handlers, and all hostile targets in all variants.
func TestSec_S01_S02_S06_DecidedIsReceived(t *testing.T) {
	w := newReceivedWorld(t)
	for _, in := range receivedSeeds(t) {
		for variant := range receivedVariants {
			for caller := range receivedCallers {
				w.try(t, in, variant, caller)
			}
			w.tryHTTP2(t, in, variant, 2)
		}
	}
	for first := range uriHandlers {
		for second := range uriHandlers {
			in := receivedInput{"GET /api/public/x/%2e%2e/x.html?x=..%2fown/me", "/public/x", []byte{byte(first), byte(second)}, (first+second)%3 == 0}
			for variant := range receivedVariants {
				w.try(t, in, variant, variant%2+1)
			}
		}
	}
	if w.passed < 1000 {
		t.Errorf("only %d requests passed: that shows little", w.passed)
	}
}

// What the seeds cover is gathered slowly, so they are few, and each input goes
// through one variant, which the input itself chooses: the test above tries all.
func FuzzDecidedIsReceived(f *testing.F) {
	w := newReceivedWorld(f)
	for i, in := range receivedSeeds(f) {
		if i%24 == 0 || i%24 == 13 {
			f.Add(in.line, in.target, in.steps, in.strip)
		}
	}
	f.Fuzz(func(t *testing.T, line, target string, steps []byte, strip bool) {
		if strings.ContainsAny(line+target, "\r\n") || len(line)+len(target) > 8<<10 {
			return // a request of more lines is another request
		}
		in := receivedInput{line, target, steps, strip}
		variant := int(crc32.ChecksumIEEE([]byte(line+target+string(steps))) % uint32(len(receivedVariants))) //nolint:gosec // a few
		for caller := range receivedCallers {
			w.try(t, in, variant, caller)
		}
		w.tryHTTP2(t, in, variant, 2)
	})
}

// readSpelling decodes a path that the upstream received, a kept slash as NUL. It
// complains about one that is not canonical.
func readSpelling(spelled string, keep bool, complain func(string, ...any)) (path string, ok bool) {
	if keep {
		spelled = strings.ReplaceAll(spelled, "%2F", "%00")
	}
	path, err := decodeOnce(spelled)
	if err != nil {
		complain("the path cannot be decoded: %v", err)
		return "", false
	}
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.ContainsAny(spelled, "#\\;") ||
		strings.Contains(strings.ToLower(spelled), "%2f") || !keep && strings.Contains(path, "\x00") {
		complain("the path is not canonical")
	}
	for element := range strings.SplitSeq(path, "/") {
		parts := strings.Split(element, "\x00")
		for _, part := range parts {
			if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." || name == "" && len(parts) > 1 {
				complain("the path has a dot segment, or an encoded slash that cannot be kept")
			}
		}
	}
	return path, true
}

// spelledAs returns how a path that can be read in one way only is to arrive: as it
// was sent, but for repeated slashes, needless escapes and missing ones.
func spelledAs(sent string) string {
	const literal = "!$&'()*+,;=:@/"
	var b strings.Builder
	for i := 0; i < len(sent); i++ {
		c, escaped := sent[i], false
		if c == '%' {
			n, _ := strconv.ParseUint(sent[i+1:i+3], 16, 8)
			c, escaped = byte(n), true
			i += 2
		}
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0,
			!escaped && strings.IndexByte(literal, c) >= 0:
			if c != '/' || !strings.HasSuffix(b.String(), "/") {
				b.WriteByte(c)
			}
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// judge says what is wrong with a request that the upstream received.
func judge(head []string, open, keep bool, token string, complain func(string, ...any)) {
	parts := strings.Split(head[0], " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		complain("the request line can be read in several ways")
		return
	}
	spelled, _, _ := strings.Cut(parts[1], "?")
	path, ok := readSpelling(spelled, keep, complain)
	if !ok {
		return
	}
	said := ""
	for _, line := range head[1:] {
		switch name, value, _ := strings.Cut(line, ": "); http.CanonicalHeaderKey(name) {
		case "X-Rule":
			said = value
		case "X-Original":
			original, _, _ := strings.Cut(value, "?")
			readSpelling(original, keep, func(format string, args ...any) {
				complain("{http.request.orig_uri} is %q: "+format, append([]any{value}, args...)...)
			})
		}
	}
	rule, scope := receivedRule(parts[0], path, open)
	if said != rule {
		complain("decided by the rule %q, but for what was received the rule is %q", said, rule)
	}
	if rule == "" {
		if !open {
			complain("no rule names it")
		}
		return
	}
	decidedOn.Lock()
	decided := decidedOn.path
	decidedOn.Unlock()
	if decided != path {
		complain("decided on %q, but what was received means %q", decided, path)
	}
	switch {
	case token == "":
		complain("an anonymous caller reached what the rule %q protects", rule)
	case token == "all" && rule == "/own/?" && path != "/own/me" && path != "/own/you",
		token == "one" && rule == "/own/?" && path != "/own/me",
		token == "one" && rule != "/own/?" && scope != "public":
		complain("a caller without the scope reached what the rule %q protects", rule)
	}
}
