// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/audit"
)

// visit is one request for a page.
type visit struct {
	*UI
	w       http.ResponseWriter
	r       *http.Request
	path    string // below the prefix, with its slash; "" for the prefix itself
	nonce   string
	visitor *visitor // nil as long as it is unknown
	route   *route   // nil as long as there is none
}

// Bodies are forms. None is larger than a token, a pasted policy and the markup
// around them.
const maxBody = 1 << 20

func newNonce() string { return rand.Text() }

// secureHeaders has the browser allow the page nothing but its own style sheet and
// script, each by a nonce: the site may serve scripts of others under the same
// name. Nothing may frame it, and no other page can tell that it is open.
func (v *visit) secureHeaders() {
	h := v.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+v.nonce+"'; style-src 'nonce-"+v.nonce+"'; "+
		"img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types gluu-ui")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// serve answers the request.
func (v *visit) serve() error {
	err := v.admit()
	if err == nil {
		err = v.route.serve(v)
	}
	if err == nil {
		return nil
	}
	fault, ok := errors.AsType[*fault](err)
	if !ok {
		v.logger.Error("showing a page", zap.String("path", v.path), zap.Error(err))
		fault = &faultOfServer
	}
	return v.showFault(fault)
}

// admit decides whether the request may be answered.
func (v *visit) admit() error {
	if !v.guard.allowsHost(v.r.Host) {
		return &fault{Status: http.StatusMisdirectedRequest, Title: "Wrong host", Text: "This site is not served under the name that the browser used."}
	}
	if v.path == "" {
		return v.redirectToPrefix()
	}
	var allowed []string
	v.route, allowed = routeOf(v.path, v.r.Method)
	if v.route == nil || v.route.least > nobody {
		v.visitor = v.visitorOf(v.r, v.r.Header.Get("X-Live") == "" && (v.route == nil || !v.route.live))
		if v.visitor == nil {
			return v.notLoggedIn()
		}
	}
	switch {
	case v.route == nil && len(allowed) > 0:
		v.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &fault{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Text: "This address takes " + strings.Join(allowed, ", ") + "."}
	case v.route == nil:
		return &faultNoPage
	case v.route.least > nobody && v.visitor.role < v.route.least:
		return v.notAllowed()
	case v.r.Method == http.MethodPost:
		return v.admitPost()
	}
	return nil
}

// admitPost decides whether a form comes from a page of ours.
func (v *visit) admitPost() error {
	if err := v.guard.origins.Check(v.r); err != nil {
		return &fault{Status: http.StatusForbidden, Title: "Not from here", Text: "The form was sent by a page of another site."}
	}
	most := max(v.route.body, maxBody)
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, most)
	if err := v.parseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return &fault{Status: http.StatusRequestEntityTooLarge, Title: "Too large", Text: fmt.Sprintf("The form is larger than %d MiB.", most>>20)}
		}
		return &fault{Status: http.StatusBadRequest, Title: "Unreadable form", Text: "The form cannot be read. Send it again."}
	}
	if v.route.least == nobody {
		return nil // the secret of a link is all that this needs
	}
	if !v.signer.isValid(v.visitor.session, v.r.PostForm.Get("token")) {
		return &fault{Status: http.StatusForbidden, Title: "This page is too old", Text: "It was opened in another session. Nothing has been changed. Open it again and repeat the change."}
	}
	if v.route.changes && v.isReadOnly() {
		return &fault{Status: http.StatusForbidden, Title: "Read only", Text: "The configuration says edit none: these pages change nothing."}
	}
	if v.route.edits != "" && !v.mayEdit(v.route.edits) {
		return &fault{Status: http.StatusForbidden, Title: "Not editable here", Text: "The option edit of gluu_ui does not name " + v.route.edits + "."}
	}
	return nil
}

// parseForm reads the form of a request. net/http reads at most 10 MB of one, with
// what its encoding adds.
func (v *visit) parseForm() error {
	if v.route.body == 0 || v.r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return v.r.ParseForm()
	}
	text, err := io.ReadAll(v.r.Body)
	if err != nil {
		return err
	}
	v.r.PostForm, err = url.ParseQuery(string(text))
	v.r.Form = v.r.PostForm
	return err
}

// redirectToPrefix adds the slash that makes relative links right.
func (v *visit) redirectToPrefix() error {
	name := v.prefix()[strings.LastIndexByte(v.prefix(), '/')+1:]
	v.redirect("./" + url.PathEscape(name) + "/")
	return errAnswered
}

var errAnswered = &fault{}

func (v *visit) notLoggedIn() error {
	if v.doors != nil {
		return &fault{Status: http.StatusUnauthorized, Title: "Open the gateway", page: "open"}
	}
	return &fault{Status: http.StatusUnauthorized, Title: "Not logged in", Text: "These pages need a login, and the site did not ask for one at this address. Check that gluu_openid_connect on this site has no matcher that leaves it out."}
}

func (v *visit) notAllowed() error {
	if v.visitor.role == nobody {
		return &fault{Status: http.StatusForbidden, Title: "No role", Text: "You are logged in as " + v.visitor.name + ", but no expression of roles is true for you. An administrator can change that in the block of gluu_ui."}
	}
	return &fault{Status: http.StatusForbidden, Title: "Not allowed", Text: fmt.Sprintf("Your role is %s. This needs the role %s.", v.visitor.role, v.route.least)}
}

// redirect sends the browser to another page, relative to this one.
func (v *visit) redirect(to string) {
	// http.Redirect would make the address absolute, and so wrong behind a proxy
	// that strips a prefix.
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// changed records a change: who, what and to what. It is called after the change.
func (v *visit) changed(what, subject string) { v.changedWith(what, subject, "") }

// changedWith also records what there is to say about it.
func (v *visit) changedWith(what, subject, detail string) {
	audit.Recent.Add(audit.Change{
		By: v.visitor.name, Role: v.visitor.role.String(), From: audit.Pages, Address: v.address(), Change: what, Subject: subject, Detail: detail,
	})
}

// address is where the browser is, as the site trusts its proxies.
func (v *visit) address() string {
	if address, ok := caddyhttp.GetVar(v.r.Context(), caddyhttp.ClientIPVarKey).(string); ok && address != "" {
		return address
	}
	if host, _, err := net.SplitHostPort(v.r.RemoteAddr); err == nil {
		return host
	}
	return v.r.RemoteAddr
}

// fault is why a page is not shown.
type fault struct {
	Status int
	Title  string
	Text   string
	page   string // the template, "fault" if empty
}

func (f *fault) Error() string { return f.Title + ": " + f.Text }

var (
	faultOfServer = fault{Status: http.StatusInternalServerError, Title: "Something went wrong", Text: "The gateway's log says what."}
	faultNoPage   = fault{Status: http.StatusNotFound, Title: "No such page", Text: "There is nothing at this address."}
)

// unfit is the fault of a form that cannot be carried out as it is.
func unfit(err error) *fault {
	return &fault{Status: http.StatusBadRequest, Title: "Cannot do that", Text: sentence(err.Error())}
}

// sentence writes an error as one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToTitle(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
