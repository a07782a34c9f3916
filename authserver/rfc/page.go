// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// pageData is what a page shows. It is escaped by the template wherever it comes from.
type pageData struct {
	Title string
	Text  []string

	// Where the person can go on, "" for nowhere.
	Link, LinkText string

	// Of the consent page.
	Client, Host, Person string
	SelfRegistered       bool
	Scopes               []shownScope
	Resources            []string
	Action, Token        string

	// Of the page that asks before a logout: where its form goes, and what it repeats.
	Logout string
	Fields map[string]string

	Style template.CSS
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// DefaultTemplate is the page that is built in.
var DefaultTemplate = template.Must(template.New("page").Parse(pageHTML))

var styleElement = regexp.MustCompile(`(?s)<style[^>]*>(.*?)</style>`)

// writePage answers with a page. It runs no script and cannot be framed. It allows the
// style sheets that are in it. There is no form-action: browsers apply that to where
// the client redirects to next as well (https://github.com/w3c/webappsec-csp/issues/8).
func (c *call) writePage(status int, t *template.Template, data pageData) error {
	data.Style = template.CSS(pageCSS)
	var body bytes.Buffer
	if err := t.Execute(&body, data); err != nil {
		return unavailable(reasonInternal, err)
	}
	var policy strings.Builder
	policy.WriteString("default-src 'none'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; style-src")
	for _, style := range styleElement.FindAllSubmatch(body.Bytes(), -1) {
		sum := sha256.Sum256(style[1])
		policy.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy.String())
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: with that, browsers send `Origin: null` with the form
	// (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
	h.Set("Referrer-Policy", "same-origin")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body.Bytes())
	}
	return nil
}

// errorPage tells a person what is wrong. The browser goes nowhere else.
func (c *call) errorPage(r *refusal) {
	title := "This request cannot be served"
	switch {
	case r.status >= 500:
		title = "Not available at the moment"
	case r.Reason == reasonUserUnknown:
		title = "You are not logged in"
	}
	text := []string{sentence(r.Description)}
	if r.Code == authcore.InvalidRequest && r.Reason != authcore.ReasonChallengeUnknown {
		text = append(text, "The application that sent you here made a mistake, or the link was made by another party. Nothing was granted.")
	}
	_ = c.writePage(r.status, DefaultTemplate, pageData{Title: title, Text: text})
}

// sentence turns a description into a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if text[0] >= 'a' && text[0] <= 'z' && !hasUnderscore(text) {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text + "."
}

// hasUnderscore reports whether the first word is the name of a parameter.
func hasUnderscore(text string) bool {
	for _, c := range text {
		if c == '_' {
			return true
		}
		if c == ' ' {
			return false
		}
	}
	return false
}
