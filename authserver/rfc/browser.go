// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// A browser is known by a cookie of random bytes. What a person decides is bound to it: who
// makes another person's browser come here, or sends a link to another person, has
// another cookie.

// cookieName is that of the cookie. With the prefix a browser takes it from this host alone,
// over TLS (RFC 6265bis section 4.1.3.2).
func (c *call) cookieName() string {
	if c.isSecure() {
		return "__Host-gluu_authorize"
	}
	return "gluu_authorize" // an issuer at a loopback address
}

func (c *call) isSecure() bool { return strings.HasPrefix(strings.ToLower(c.Issuer.Name), "https:") }

// browser returns the cookie of the browser, "" if it has none, or several, of which one
// may be another host's.
func (c *call) browser() string {
	cookies := c.r.CookiesNamed(c.cookieName())
	if len(cookies) != 1 || len(cookies[0].Value) != 43 {
		return ""
	}
	return cookies[0].Value
}

// knowBrowser returns the cookie of the browser, and gives it one if it has none.
func (c *call) knowBrowser() string {
	value := c.browser()
	if value == "" {
		value = authcore.RandomText(authcore.TokenBytes)
		http.SetCookie(c.w, &http.Cookie{
			Name: c.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: c.isSecure(), SameSite: http.SameSiteLaxMode,
		})
	}
	return value
}

func (c *call) forgetBrowser() {
	http.SetCookie(c.w, &http.Cookie{
		Name: c.cookieName(), Path: "/", HttpOnly: true, Secure: c.isSecure(), SameSite: http.SameSiteLaxMode, MaxAge: -1,
	})
}

// browserID is what is stored of the cookie.
func (c *call) browserID(cookie string) authcore.TokenID {
	return authcore.NewTokenID("browser", c.Issuer.Name, cookie)
}

// sessionID is the `sid` of the browser in ID tokens. It tells nothing about the cookie.
func sessionID(cookie string) string {
	if cookie == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("gluu sid\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// isSameSite reports whether a page of this server, or the person in the address bar, has
// caused a request. Browsers without the header count as cross-site.
func isSameSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "none" || site == "same-origin"
}
