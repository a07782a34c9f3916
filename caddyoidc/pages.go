// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
)

// page is what a person sees when a login does not go on by itself. Its texts
// are fixed: nothing that the OpenID Provider or the address says is repeated
// on it, so there is nothing to inject.
type page struct {
	Title string
	Text  []string // paragraphs

	// Link leads on, with LinkText on it: a path of this site, "" for none.
	Link, LinkText string

	// Button makes Link a form that is sent by POST.
	Button bool

	// Continue leads to Link by itself. Going there from a page of this site
	// makes the browser send its strict cookies.
	Continue bool

	// Fragment is a script's work: it takes the part of the address after the
	// # along, which no server ever sees. See keep_fragment.
	Fragment fragmentStep

	// Reference is the request's id, as the log has it.
	Reference string
}

// fragmentStep is which half of keeping a fragment a page does.
type fragmentStep string

const (
	fragmentSave    fragmentStep = "save"    // before the login
	fragmentRestore fragmentStep = "restore" // after it
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pagePolicy allows a page its own style sheet, and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

// formPolicy says where the form of a page may lead. Browsers apply it to each
// redirect as well (https://github.com/w3c/webappsec-csp/issues/8), and a logout
// goes on to the OpenID Provider and to wherever that leads: the page with the
// button names no place. Its text is fixed, so there is no form but ours.
func (p *page) formPolicy() string {
	if p.Button {
		return ""
	}
	return "; form-action 'none'"
}

// writePage answers with a page.
func writePage(w http.ResponseWriter, status int, p page) error {
	h := w.Header()
	policy, nonce := pagePolicy+p.formPolicy(), ""
	if p.Fragment != "" {
		nonce = rand.Text()
		policy += "; script-src 'nonce-" + nonce + "'"
	}
	var body bytes.Buffer
	err := pageTemplate.Execute(&body, struct {
		page
		CSS   template.CSS
		Nonce string
	}{p, template.CSS(pageCSS), nonce})
	if err != nil {
		return err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may have gone
	return nil
}
