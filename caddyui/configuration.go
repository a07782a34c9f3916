// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/linediff"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/redact"
)

// configurationPage is the configuration, and what becomes of a change to it.
type configurationPage struct {
	File     string // "" for JSON
	Text     string // without secrets
	Base     string // id of the text that the form changes
	Version  string // id of a version that the text is of, "" for none
	Problem  string
	Warnings []string

	Pending *liveconfig.Pending
	Seconds int  // until the former configuration returns
	Differs bool // the file is not what runs

	IsReview bool
	Diff     []linediff.Line // what saving changes
	Others   []linediff.Line // what others have changed since the page was opened
	IsLate   bool

	History []liveconfig.Version
}

// maxConfigBody bounds a form with a configuration.
const maxConfigBody = 10 << 20

// linesAround a change are shown with it.
const linesAround = 3

func showConfiguration(v *visit) error {
	from, err := v.config.read(v.r.Context())
	if err != nil {
		v.logger.Error("reading the configuration for a page", zap.Error(err))
		return v.showConfigurationPage(http.StatusBadGateway, &configurationPage{Problem: sentence(err.Error())})
	}
	shown, err := v.config.show(from.text)
	if err != nil {
		return v.showConfigurationPage(http.StatusOK, &configurationPage{Problem: "The file cannot be read, so it cannot be shown without its secrets. " + v.cause(err)})
	}
	seen.Add(from.text)
	page := &configurationPage{Base: from.id()}
	if page.Text, err = v.textFor(from.text); err != nil {
		return v.showConfigurationPage(http.StatusOK, &configurationPage{Problem: "The file cannot be shown. " + v.cause(err)})
	}
	page.Differs, err = v.config.differs(from)
	if err != nil {
		page.Problem = "The file cannot be loaded. " + v.cause(shown.WithoutError(err))
	}
	return v.showConfigurationPage(http.StatusOK, page)
}

// textFor returns what the visitor sees of a text. Who does not edit a Caddyfile sees
// only what is known not to be secret: what other modules take there has no names.
func (v *visit) textFor(text string) (string, error) {
	if v.config.file != "" && v.visitor.role < admin {
		return redact.View([]byte(text))
	}
	shown, err := v.config.show(text)
	if err != nil {
		return "", err
	}
	return shown.Text, nil
}

// cause says why something went wrong. What Caddy says of a configuration quotes it, so
// that only who edits it reads that.
func (v *visit) cause(err error) string {
	if v.visitor.role < admin {
		return "An admin sees why."
	}
	return sentence(err.Error())
}

// differs reports whether the file is not what runs.
func (e *configEditor) differs(from *source) (bool, error) {
	if e.file == "" {
		return false, nil
	}
	config, _, err := e.adapt(from.text)
	if err != nil {
		return false, err
	}
	return !from.isRunning(config), nil
}

// isRunning reports whether a configuration is the one that runs, which the endpoint
// answers in its canonical form.
func (s *source) isRunning(config []byte) bool {
	return bytes.Equal(canonical(config), s.running.JSON)
}

// noteVersion adds what someone has loaded elsewhere to the history.
func (v *visit) noteVersion(text string) {
	if v.config.history == nil || v.config.trials.Current() != nil {
		return
	}
	if err := v.config.history.Note(text, "", "loaded outside of these pages"); err != nil {
		v.logger.Warn("the history of configurations is kept in memory alone", zap.Error(err))
	}
}

func (v *visit) showConfigurationPage(status int, page *configurationPage) error {
	page.File = v.config.file
	if page.Pending = v.config.trials.Current(); page.Pending != nil {
		page.Seconds = max(int(page.Pending.Deadline.Sub(v.now())/time.Second), 0)
	}
	if v.config.history != nil && !page.IsReview {
		page.History = v.config.history.List()
	}
	return v.show(status, "configuration", "Configuration", page)
}

// editConfiguration answers the form: it formats a text, shows what it would change, or
// loads it.
func editConfiguration(v *visit) error {
	form := v.r.PostForm
	page := &configurationPage{
		Text: strings.ReplaceAll(form.Get("text"), "\r\n", "\n"), Base: form.Get("base"), Version: form.Get("version"),
	}
	from, err := v.config.read(v.r.Context())
	if err != nil {
		return &fault{Status: http.StatusBadGateway, Title: "Configuration", Text: sentence(err.Error())}
	}
	action := form.Get("action")
	if action == "format" && v.config.file != "" {
		page.Text = string(caddyfile.Format([]byte(page.Text)))
		return v.showConfigurationPage(http.StatusOK, page)
	}
	c, err := v.prepare(page, from)
	if err != nil {
		page.Problem = sentence(err.Error())
		return v.showConfigurationPage(http.StatusBadRequest, page)
	}
	isSame := from.isRunning(c.config)
	switch {
	case page.Base != from.id():
		return v.showLate(page, from, c)
	case c.text == from.text && isSame:
		v.redirect("./configuration?done=config-same")
		return nil
	case action != "load":
		page.IsReview = true
		page.Diff, err = v.diff(from.text, c.text)
		if err != nil {
			return err
		}
		return v.showConfigurationPage(http.StatusOK, page)
	case isSame: // only comments or spaces of the file are others
		return v.saveFile(from, c)
	}
	return v.loadConfiguration(page, from, c)
}

// prepare returns the change that a form asks for.
func (v *visit) prepare(page *configurationPage, from *source) (*change, error) {
	shown, err := v.config.show(from.text)
	if err != nil {
		return nil, err
	}
	for _, id := range []string{page.Base, page.Version} {
		if known, ok := v.textOf(id); ok {
			if other, err := v.config.show(known); err == nil {
				shown = shown.With(other)
			}
		}
	}
	text, err := v.config.restore(shown, page.Text)
	if err != nil {
		return nil, err
	}
	config, warnings, err := v.config.adapt(text)
	for _, warning := range warningTexts(warnings) {
		page.Warnings = append(page.Warnings, shown.Without(warning))
	}
	if err != nil {
		return nil, shown.WithoutError(err)
	}
	if err := v.config.check(from.running.JSON, config); err != nil {
		return nil, shown.WithoutError(err)
	}
	ended := func(p *liveconfig.Pending, err error) {
		if !errors.Is(err, liveconfig.ErrChanged) {
			err = shown.WithoutError(err)
		}
		returned(p, err)
	}
	return &change{by: v.visitor.name, note: "changed on these pages", text: text, config: config, shown: shown, onReturn: ended}, nil
}

func (v *visit) versionOf(id string) (liveconfig.Version, bool) {
	if v.config.history == nil || id == "" {
		return liveconfig.Version{}, false
	}
	return v.config.history.Find(id)
}

// textOf finds a text that was shown or that ran.
func (v *visit) textOf(id string) (string, bool) {
	if text, ok := seen.Find(id); ok {
		return text, true
	}
	version, ok := v.versionOf(id)
	return version.Text, ok
}

func warningTexts(warnings []caddyconfig.Warning) (texts []string) {
	for _, w := range warnings {
		text := w.Message
		if w.Directive != "" {
			text = w.Directive + ": " + text
		}
		if w.Line > 0 {
			text = fmt.Sprintf("line %d: %s", w.Line, text)
		}
		texts = append(texts, text)
	}
	return texts
}

// diff compares two texts without their secrets. A secret that is another one has
// another marker.
func (v *visit) diff(before, after string) ([]linediff.Line, error) {
	a, err := v.textFor(before)
	if err != nil {
		return nil, err
	}
	b, err := v.textFor(after)
	if err != nil {
		return nil, err
	}
	return linediff.Compare(a, b, linesAround), nil
}

// showLate answers a form that is for another configuration than the one that runs:
// with what others have changed, and with what the form would change now.
func (v *visit) showLate(page *configurationPage, from *source, c *change) error {
	page.IsReview, page.IsLate = true, true
	var err error
	if base, ok := v.textOf(page.Base); ok {
		if page.Others, err = v.diff(base, from.text); err != nil {
			return err
		}
	}
	if page.Diff, err = v.diff(from.text, c.text); err != nil {
		return err
	}
	page.Version = cmp.Or(page.Version, page.Base) // its secrets stay known
	page.Base = from.id()
	seen.Add(from.text)
	return v.showConfigurationPage(http.StatusPreconditionFailed, page)
}

func (v *visit) loadConfiguration(page *configurationPage, from *source, c *change) error {
	v.noteVersion(from.text)
	err := v.config.load(v.r.Context(), from, c)
	_, isRefused := errors.AsType[*liveconfig.RefusedError](err)
	switch {
	case errors.Is(err, liveconfig.ErrChanged):
		now, err := v.config.read(v.r.Context())
		if err != nil {
			return err
		}
		return v.showLate(page, now, c)
	case errors.Is(err, liveconfig.ErrPending):
		page.Problem = sentence(err.Error())
		return v.showConfigurationPage(http.StatusConflict, page)
	case isRefused:
		page.Problem = "The gateway goes on with the former configuration. " + sentence(c.shown.Without(err.Error()))
		return v.showConfigurationPage(http.StatusBadRequest, page)
	case err != nil && v.config.trials.Current() == nil:
		return err
	case err != nil:
		v.logger.Warn("the history of configurations is kept in memory alone", zap.Error(err))
	}
	v.changedWith("configuration loaded", v.config.file, "version "+liveconfig.IDOf(c.text)+", to be confirmed")
	v.redirect("./configuration?done=config-loaded")
	return nil
}

// saveFile writes a Caddyfile that means what runs already.
func (v *visit) saveFile(from *source, c *change) error {
	if err := v.config.writeFile(from.text, c.text); err != nil {
		return &fault{Status: http.StatusInternalServerError, Title: "Not written", Text: sentence(err.Error())}
	}
	v.changedWith("configuration kept", v.config.file, "version "+liveconfig.IDOf(c.text)+", which means the same")
	v.noteVersion(c.text)
	v.redirect("./configuration?done=config-kept")
	return nil
}

func confirmConfiguration(v *visit) error {
	now, err := v.config.readRunning(v.r.Context())
	if err != nil {
		return &fault{Status: http.StatusBadGateway, Title: "Configuration", Text: sentence(err.Error())}
	}
	p, err := v.config.trials.Confirm(v.config.serial, now)
	switch {
	case errors.Is(err, liveconfig.ErrChanged):
		return &fault{Status: http.StatusPreconditionFailed, Title: "Not confirmed", Text: "Someone else has loaded another configuration since, and that one runs. Nothing was confirmed or written."}
	case p == nil:
		return &fault{Status: http.StatusConflict, Title: "Cannot confirm", Text: sentence(err.Error())}
	}
	v.changed("configuration kept", v.config.file)
	if err != nil {
		return &fault{Status: http.StatusInternalServerError, Title: "Kept, but not written", Text: sentence(err.Error())}
	}
	v.redirect("./configuration?done=config-kept")
	return nil
}

// returnConfiguration loads the former configuration at once.
func returnConfiguration(v *visit) error {
	err := v.config.trials.Return()
	switch {
	case errors.Is(err, liveconfig.ErrNonePends):
		return &fault{Status: http.StatusConflict, Title: "Nothing to return to", Text: sentence(err.Error())}
	case err != nil:
		return &fault{Status: http.StatusInternalServerError, Title: "It did not return", Text: sentence(err.Error())}
	}
	v.redirect("./configuration?done=config-returned")
	return nil
}

// versionPage is one version of the history, and how it differs from what runs.
type versionPage struct {
	liveconfig.Version
	Shown string
	Base  string
	Diff  []linediff.Line
	File  string
}

func showVersion(v *visit) error {
	version, ok := v.versionOf(v.r.URL.Query().Get("id"))
	if !ok {
		return &fault{Status: http.StatusNotFound, Title: "No such version", Text: "The history has the last 50 configurations, and not this one."}
	}
	from, err := v.config.read(v.r.Context())
	if err != nil {
		return &fault{Status: http.StatusBadGateway, Title: "Configuration", Text: sentence(err.Error())}
	}
	shown, err := v.textFor(version.Text)
	if err != nil {
		return err
	}
	page := versionPage{Version: version, Shown: shown, Base: from.id(), File: v.config.file}
	if page.Diff, err = v.diff(from.text, version.Text); err != nil {
		return err
	}
	return v.show(http.StatusOK, "version", "Version of the configuration", page)
}
