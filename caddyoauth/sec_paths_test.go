// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// A token that may use /public/?? and nothing else.
func publicOnly(t *testing.T, site string) *gateway {
	g := start(t, simpleApp, site)
	g.auth.issue("public", claims("client-a", "public"))
	return g
}

const publicRules = `gluu_oauth_pep {
		path /public/?? {
			GET scope public
		}
		path /admin {
			GET scope admin
		}
		path /admin/?? {
			GET scope admin
		}
		%s
	}
	`

var hostileTargets = []string{
	// S-01
	"/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "/public/%2e./admin", "/public/..;/admin",
	"/public/..;x=y/admin", "/./admin", "/public/./../admin", "/public/..", "/public/.", "/public/%2e", "/public/...;/../admin",
	"//admin", "///admin", "/%61dmin", "/admin/", "/admin//", "/admin;x", "/admin;", "/admin%3b", "/admin%3Bx=1",
	// S-02
	"/public/..%2fadmin/secret", "/public/..%2Fadmin", "/public%2f..%2fadmin", "/%2fadmin", "/public/..%5cadmin", "/public/%5c..%5cadmin",
	"/public%2fx", "/admin%2fx",
	// S-08
	`/public\..\admin`, `/\admin`, `/public/..\admin`, `\admin`,
	// S-07
	"/admin?x=/public/", "/admin?/public/x", "/admin#/public", "/admin%23/public", "/admin%3f/public", "/admin%00", "/admin%00/public",
	"/admin%0a", "/admin%0d%0aX: y", "/admin%09", "/admin%7f", "/admin%c2%85", "/admin%ff", "/admin%c0%ae", "/admin%u002f", "/admin%", "/admin%2", "/admin%zz",
	"/ADMIN/%2e%2e/admin", "/public/%c0%af../admin", "/public/%e0%80%af../admin", "/public/..%c1%9cadmin",
	"/public/．．/admin", "/public/%ef%bc%8e%ef%bc%8e/admin",
	"http://ADDRESS/admin", "http://ADDRESS/public/../admin", "http://ADDRESS//admin", "http://ADDRESS/public/%2e%2e/admin",
	"*", "admin", "",
	// An encoded slash beside characters that make Go ignore how a path was spelled.
	"/public/a%2F..%2f..%2fadmin^", `/public/..%2fadmin"`, "/public/a%2fb^", "/public%2f..%2fadmin<", "/admin%2f|", "/%2fadmin{}",
}

// Whatever is sent, the request is refused, or the upstream receives a path
// for which the token has the scope, whichever way the upstream reads it.
func TestSec_S01_S02_S07_S08_OnlyOneReadingOfAPath(t *testing.T) {
	for _, mode := range []string{"ambiguous_paths reject", "ambiguous_paths allow", "encoded_slashes keep", "ambiguous_paths allow\nencoded_slashes keep"} {
		g := publicOnly(t, "gluu_oauth_auth\n"+fmt.Sprintf(publicRules, mode)+noPEP)
		for _, target := range hostileTargets {
			target = strings.ReplaceAll(target, "ADDRESS", g.address)
			got := g.send("GET " + target + " HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer public")
			g.expectPublic(mode+" "+target, got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// expectPublic checks that a request was refused or went to /public.
func (g *gateway) expectPublic(what string, got answer) {
	g.Helper()
	switch got.status {
	case 400, 403, 404, 414:
		return
	case 200:
	default:
		g.Errorf("%s: got %d %s", what, got.status, got.body)
		return
	}
	if got.body == "" {
		return // no route of the site took it; the upstream did not see it
	}
	received := got.receivedTarget()
	path, _, _ := strings.Cut(received, "?")
	for range 3 {
		// However often it is decoded, it stays where it is.
		if !strings.HasPrefix(path, "/public/") && path != "/public" {
			g.Errorf("%s: the upstream received %s", what, received)
			return
		}
		for element := range strings.SplitSeq(path, "/") {
			if name, _, _ := strings.Cut(element, ";"); name == ".." || name == "." {
				g.Errorf("%s: the upstream received %s, with a dot segment", what, received)
				return
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return
		}
		if strings.ContainsAny(decoded, `\`) || strings.Count(decoded, "/") != strings.Count(path, "/") {
			// A second decoding is the upstream's own: what it finds was
			// data to everybody before.
			return
		}
		path = decoded
	}
}

// S-06: before and after the handlers that change paths, what is decided on
// is what is sent.
func TestSec_S06_DecisionsAreAboutWhatTheUpstreamReceives(t *testing.T) {
	sites := map[string]string{
		"handle_path":      "handle_path /api/* {\ngluu_oauth_auth\n" + fmt.Sprintf(publicRules, "") + noPEP + "}\n",
		"uri strip_prefix": "uri strip_prefix /api\ngluu_oauth_auth\n" + fmt.Sprintf(publicRules, "") + noPEP,
		"rewrite":          "rewrite /api/* {http.request.uri.path.1}{uri}\ngluu_oauth_auth\n" + fmt.Sprintf(publicRules, "") + noPEP,
		"uri replace":      "uri replace /api/ /\ngluu_oauth_auth\n" + fmt.Sprintf(publicRules, "") + noPEP,
		"path_regexp":      "uri path_regexp ^/api/ /\ngluu_oauth_auth\n" + fmt.Sprintf(publicRules, "") + noPEP,
	}
	for name, site := range sites {
		g := publicOnly(t, site)
		random := rand.New(rand.NewPCG(1, 2))
		pieces := []string{"/", "//", "public", "admin", "%70ublic", "..", ".", "%2e", "%2f", "%252e", ";", "%5c", "x", "%20", "é", "%C3%A9", "api", "!", "'", "(", "%28", "%7E", "?", "#"}
		for range 150 {
			target := "/api/"
			for range 1 + random.IntN(6) {
				target += pieces[random.IntN(len(pieces))]
			}
			got := g.send("GET " + target + " HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer public")
			if got.status == 200 && name == "rewrite" {
				continue // the rewritten path is what counts, and can be anything under /public
			}
			g.expectPublic(name+" "+target, got)
		}
		if got := g.send("GET /api/public/%78 HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer public"); name != "rewrite" && (got.status != 200 || got.receivedTarget() != "/public/x") {
			t.Errorf("%s: got %d and the upstream received %s, want /public/x", name, got.status, got.receivedTarget())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCanonicalPathIsSent(t *testing.T) {
	g := publicOnly(t, "gluu_oauth_auth\n"+fmt.Sprintf(publicRules, "")+noPEP)
	for target, want := range map[string]string{
		"/public/x":                             "/public/x",
		"/%70ublic/%78":                         "/public/x",
		"//public///x":                          "/public/x",
		"/public/a%20b?q=%20+":                  "/public/a%20b?q=%20+",
		"/public/%c3%a9":                        "/public/%C3%A9",
		"/public/a%25b":                         "/public/a%25b",
		"/public/a!b'c(d)*":                     "/public/a!b'c(d)*",
		"/public/x?a=/../b":                     "/public/x?a=/../b",
		"http://" + g.address + "/%70ublic/x?y": "/public/x?y",
	} {
		if got := g.get(target, "public"); got.status != 200 || got.receivedTarget() != want {
			t.Errorf("%s: got %d and the upstream received %s, want %s", target, got.status, got.receivedTarget(), want)
		}
	}
}

// S-04: paths are case-sensitive, as documented; what the site is called is
// not.
func TestSec_S04_Case(t *testing.T) {
	g := publicOnly(t, "gluu_oauth_auth\n"+fmt.Sprintf(publicRules, "")+noPEP)
	for _, target := range []string{"/PUBLIC/x", "/Public/x", "/ADMIN", "/Admin"} {
		if got := g.get(target, "public"); got.status != 403 {
			t.Errorf("%s: got %d, want 403: no rule names it", target, got.status)
		}
	}
}

// S-09: nothing is let through because of how it looks.
func TestSec_S09_NoPathIsLetThroughForItsLooks(t *testing.T) {
	g := publicOnly(t, "gluu_oauth_auth\n"+fmt.Sprintf(publicRules, "")+noPEP)
	for _, target := range []string{
		"/admin?x=/oauth2/callback", "/oauth2/callback", "/x/oauth2/callback", "/.well-known/oauth-protected-resource", "/.well-known/jwks.json",
		"/favicon.ico", "/robots.txt", "/health", "/metrics", "/admin/style.css", "/admin.css", "/logout",
	} {
		for _, token := range []string{"public", ""} {
			if got := g.get(target, token); got.status == 200 {
				t.Errorf("%s passed with the token '%s'", target, token)
			}
		}
	}
}

// S-10, S-11 and S-16 through the whole: backtracking, whole matches, and the
// scopes of one method not those of another.
func TestSec_S10_S11_S16_RulesHoldThroughTheWhole(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+`gluu_oauth_pep {
			path /a/b/c {
				GET scope admin
			}
			path /a/?/d {
				GET scope public
			}
			path /u/{\d+} {
				GET scope public
			}
			path /w/?? {
				GET scope public
				POST scope admin
			}
			path /s/? {
				GET scope ^s:(?<PC1>.+)$
				DELETE scope ^admin
			}
		}
		reverse_proxy {upstream}`)
	g.auth.issue("public", claims("client-a", "public s:1 administrator"))
	for request, want := range map[string]int{
		"GET /a/b/d": 200, "GET /a/b/c": 403, "GET /a/x/d": 200,
		"GET /u/12": 200, "GET /u/abc12xyz": 403, "GET /u/12a": 403, "GET /u/a12": 403, "GET /u/12%0a": 400,
		"GET /w/x/y": 200, "POST /w/x/y": 403, "HEAD /w/x": 200, "PUT /w/x": 403,
		"GET /s/1": 200, "GET /s/11": 403, "GET /s/": 403, "DELETE /s/1": 403,
	} {
		method, target, _ := strings.Cut(request, " ")
		if got := g.request(method, target, "public"); got.status != want {
			t.Errorf("%s: got %d, want %d", request, got.status, want)
		}
	}
}
