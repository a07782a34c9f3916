// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/routemap"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// templates are the pages by name, each with the frame around it.
var templates = func() map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(functions).ParseFS(templateFiles, "templates/frame.html", "templates/parts.html"))
	names, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // they are part of the binary
	}
	pages := make(map[string]*template.Template)
	for _, entry := range names {
		name := strings.TrimSuffix(entry.Name(), ".html")
		pages[name] = template.Must(template.Must(frame.Clone()).ParseFS(templateFiles, "templates/"+entry.Name()))
	}
	return pages
}()

var functions = template.FuncMap{
	"when":       when,
	"join":       strings.Join,
	"count":      groupDigits,
	"sentence":   sentence,
	"verdict":    verdictText,
	"meaning":    func(reason string) string { return decisions.MeaningOf(reason).Meaning },
	"lookup":     lookupText,
	"inc":        func(i int) int { return i + 1 },
	"plural":     plural,
	"age":        age,
	"protection": func(p routemap.Protection) any { return protections[p] },
	"count64":    func(n uint64) string { return groupDigits(int(min(n, math.MaxInt))) },
	"sum": func(counts map[string]uint64) (total uint64) {
		for _, n := range counts {
			total += n
		}
		return total
	},
}

// assetVersion changes whenever an asset does, so that browsers may keep them.
var assetVersion = func() string {
	sum := sha256.New()
	for _, name := range []string{"style.css", "app.js", "icon.svg"} {
		text, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // they are part of the binary
		}
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}()

// frame is what all pages have around their content.
type frame struct {
	Title   string
	Nav     []navEntry
	Visitor *visitorView
	Token   string // for forms
	Nonce   string
	Version string
	Notice  string // what a form has done
	Now     time.Time
	Page    any
}

type navEntry struct {
	Href, Text string
	IsCurrent  bool
}

type visitorView struct {
	Name, Role string
	CanClose   bool // the session is ours to end
	CanOperate bool
	CanAdmin   bool // for consumers
	CanConfig  bool
}

// show answers with a page.
func (v *visit) show(status int, name, title string, page any) error {
	f := frame{Title: title, Nonce: v.nonce, Version: assetVersion, Now: v.now(), Page: page}
	if v.visitor != nil && v.visitor.role > nobody {
		f.Visitor = &visitorView{
			Name: v.visitor.name, Role: v.visitor.role.String(), CanClose: v.visitor.isLocal,
			CanOperate: v.visitor.role >= operator && !v.isReadOnly(), CanAdmin: v.visitor.role >= admin && v.mayEdit("consumers"),
			CanConfig: v.visitor.role >= admin && v.mayEdit("config"),
		}
		f.Token, f.Nav, f.Notice = v.signer.of(v.visitor.session), v.navigation(), v.notice()
	}
	var body bytes.Buffer
	if err := templates[name].ExecuteTemplate(&body, "frame.html", f); err != nil {
		return err
	}
	v.write(status, "text/html; charset=utf-8", clean(body.Bytes()))
	return nil
}

func (v *visit) write(status int, contentType string, body []byte) {
	h := v.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body) // the browser may have gone
}

func (v *visit) showFault(f *fault) error {
	switch {
	case f == errAnswered:
		return nil
	case f.page != "":
		return v.show(f.Status, f.page, f.Title, f)
	}
	return v.show(f.Status, "fault", f.Title, f)
}

func (v *visit) navigation() (entries []navEntry) {
	for _, r := range routes {
		if r.nav != "" {
			entries = append(entries, navEntry{"." + r.path, r.nav, v.route != nil && v.route.nav == r.nav || v.isBelow(r.path)})
		}
	}
	return entries
}

// isBelow reports whether the page belongs to an entry of the navigation without
// being it, as the page of one consumer does.
func (v *visit) isBelow(path string) bool {
	return parents[v.path] == path
}

// parents are the entries of the navigation that pages without one belong to.
var parents = map[string]string{
	"/route": "/routes", "/rules": "/routes", "/rules-review": "/routes", "/playground-replay": "/playground", "/playground-tests": "/playground", "/playground-save": "/playground", "/consumer": "/consumers", "/consumer-delete": "/consumers", "/forget": "/tokens", "/sessions-end": "/sessions", "/streams-end": "/streams", "/configuration-version": "/configuration", "/configuration-import": "/configuration",
}

// notices are what forms say when they have done their work. The address names
// one, and a number; nothing else of the address is shown.
var notices = map[string]string{
	"consumer-saved":   "The consumer is saved.",
	"consumer-deleted": "The consumer is deleted.",
	"tokens-forgotten": "Tokens forgotten: %s.",
	"sessions-ended":   "Sessions ended: %s.",
	"streams-ended":    "Streams ended: %s.",
	"config-same":      "Nothing was changed: the gateway runs this configuration already.",
	"config-loaded":    "The configuration is loaded.",
	"config-kept":      "The configuration is kept.",
	"config-returned":  "The former configuration is back.",
}

func (v *visit) notice() string {
	query := v.r.URL.Query()
	text := notices[query.Get("done")]
	if !strings.Contains(text, "%s") {
		return text
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 {
		return ""
	}
	return fmt.Sprintf(text, groupDigits(n))
}

// asset answers with a file that is part of the binary.
func asset(v *visit) error {
	text, err := assetFiles.ReadFile("assets" + v.path)
	if err != nil {
		return err
	}
	if v.r.URL.Query().Get("v") == assetVersion {
		v.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	v.write(http.StatusOK, assetTypes[path.Ext(v.path)], text)
	return nil
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// clean makes characters visible that would not show, or that would show the rest
// of a line in another order: control characters, fillers, and those that steer
// bidirectional text (CVE-2021-42574). It is applied to whole pages, so that no
// template can forget it.
func clean(page []byte) []byte {
	isOrdinary := func(r rune) bool {
		return r == '\n' || r == '\t' || r >= 0x20 && r < 0x7f || r > 0x9f && !unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) && r != '\u2028' && r != '\u2029' && r != utf8.RuneError
	}
	if bytes.IndexFunc(page, func(r rune) bool { return !isOrdinary(r) }) < 0 {
		return page
	}
	var b bytes.Buffer
	for _, r := range string(page) {
		if isOrdinary(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u{%04x}`, r)
		}
	}
	return b.Bytes()
}

// when writes a time. The script shows it in the local zone; without one it is UTC.
func when(t time.Time) template.HTML {
	if t.IsZero() {
		return "<span class=\"faint\">never</span>"
	}
	utc := t.UTC()
	return template.HTML(`<time datetime="` + utc.Format(time.RFC3339Nano) + `">` + utc.Format("2006-01-02 15:04:05") + ` UTC</time>`)
}

// groupDigits writes a number with a thin gap between thousands.
func groupDigits(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u2009" + text[i:]
	}
	return text
}

// plural returns the word that goes with a number.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
