// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/redact"
	"github.com/caddy-gluu/gateway/internal/uilink"
)

// configEditor reads and changes the configuration of this process: as JSON, or the
// Caddyfile that it is made of.
type configEditor struct {
	endpoint *liveconfig.Endpoint
	history  *liveconfig.History // nil if the configuration is not edited here
	trials   *liveconfig.Trials
	file     string // "" for JSON
	key      string // of markers
	serial   uint64 // of the configuration that has this editor
	own      page

	checked atomic.Bool // the endpoint is that of this process
}

// seen keeps the texts that forms were made of, so that what others have changed since
// can be shown. It is memory of this process and no history: looking at a page adds
// nothing to that.
var seen = &liveconfig.Texts{}

// serials counts the configurations of this process.
var serials atomic.Uint64

// histories are those of this process, by folder. They outlive a reload.
var histories struct {
	sync.Mutex
	byDir map[string]*liveconfig.History
}

func newConfigEditor(u *UI) (*configEditor, error) {
	endpoint, err := liveconfig.NewEndpoint(u.AdminEndpoint)
	if err != nil {
		return nil, err
	}
	e := &configEditor{
		endpoint: endpoint, trials: liveconfig.Trial, file: u.ConfigFile, key: string(u.signer), serial: serials.Add(1),
		own: page{Prefix: u.prefix(), Local: u.Local},
	}
	if u.mayEdit("config") || u.mayEdit("policies") {
		// Versions have the secrets of the configuration, and so stay on this machine.
		dir := filepath.Join(caddy.AppDataDir(), "gluu", "configurations", liveconfig.IDOf(u.AdminEndpoint+"\x00"+u.ConfigFile))
		histories.Lock()
		defer histories.Unlock()
		if histories.byDir == nil {
			histories.byDir = map[string]*liveconfig.History{}
		}
		if histories.byDir[dir] == nil {
			histories.byDir[dir] = liveconfig.OpenHistory(dir, u.now)
		}
		e.history = histories.byDir[dir]
	}
	return e, nil
}

// source is the text that is edited, with its secrets, and what runs.
type source struct {
	text    string
	running *liveconfig.Config
}

// id stands for the text.
func (s *source) id() string { return liveconfig.IDOf(s.text) }

// readRunning returns what runs.
func (e *configEditor) readRunning(ctx context.Context) (*liveconfig.Config, error) {
	if !e.checked.Load() {
		if err := e.endpoint.Check(ctx, uilink.Instance); err != nil {
			return nil, err
		}
		e.checked.Store(true)
	}
	return e.endpoint.Read(ctx)
}

func (e *configEditor) read(ctx context.Context) (*source, error) {
	running, err := e.readRunning(ctx)
	if err != nil {
		return nil, err
	}
	if e.file == "" {
		text, err := indented(running.JSON)
		return &source{text, running}, err
	}
	text, err := os.ReadFile(e.file)
	if err != nil {
		return nil, fmt.Errorf("reading config_file: %w", err)
	}
	return &source{string(text), running}, nil
}

func indented(config []byte) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	text, err := redact.Indent(value)
	return string(text), err
}

// show returns a text without its secrets.
func (e *configEditor) show(text string) (*redact.Shown, error) {
	if e.file == "" {
		return redact.JSON(e.key, []byte(text))
	}
	return redact.Caddyfile(e.key, []byte(text))
}

// restore returns an edited text with its secrets, in the form that sources have.
func (e *configEditor) restore(shown *redact.Shown, edited string) (string, error) {
	if e.file != "" {
		return shown.RestoreCaddyfile(edited)
	}
	config, err := shown.RestoreJSON([]byte(edited))
	if err != nil {
		return "", err
	}
	return indented(config)
}

// adapt returns the JSON of a text.
func (e *configEditor) adapt(text string) (config []byte, warnings []caddyconfig.Warning, err error) {
	if e.file == "" {
		return []byte(text), nil, nil
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil, errors.New("the Caddyfile is empty: write a site, with gluu_ui for these pages")
	}
	return caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": e.file})
}

// check refuses what Caddy would not load, as far as that is known before, and what
// would take the pages away.
func (e *configEditor) check(former, config []byte) error {
	var known caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), &known); err != nil {
		return err
	}
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal(former, &before), json.Unmarshal(config, &after)); err != nil {
		return err
	}
	if !reflect.DeepEqual(before["admin"], after["admin"]) {
		return errors.New("the pages work through Caddy's admin endpoint: change its settings (admin) elsewhere, not here")
	}
	has := pagesOf(after)
	for _, p := range pagesOf(before) {
		if p.Prefix == e.own.Prefix && p.Local == e.own.Local && !slices.ContainsFunc(has, func(q page) bool { return reflect.DeepEqual(p, q) }) {
			return fmt.Errorf("this would remove the pages that you are using: keep gluu_ui on the site %s", p)
		}
	}
	return nil
}

// page is a place where a configuration has gluu_ui.
type page struct {
	Listen []string
	Hosts  []string
	Prefix string
	Local  bool
}

func (p page) String() string {
	site := strings.Join(append(slices.Clone(p.Hosts), p.Listen...), " ")
	return strings.TrimSpace(site + " " + p.Prefix)
}

// pagesOf finds them.
func pagesOf(config map[string]any) (found []page) {
	servers, _ := member(config, "apps", "http", "servers").(map[string]any)
	for _, server := range servers {
		p := page{Listen: texts(member(server, "listen"))}
		walkRoutes(member(server, "routes"), p, &found)
	}
	return found
}

func member(value any, names ...string) any {
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func texts(list any) (found []string) {
	elements, _ := list.([]any)
	for _, element := range elements {
		if text, ok := element.(string); ok {
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

// walkRoutes follows subroutes. The hosts are those of the innermost matchers.
func walkRoutes(routes any, p page, found *[]page) {
	list, _ := routes.([]any)
	for _, r := range list {
		p := p
		sets, _ := member(r, "match").([]any)
		for _, set := range sets {
			if hosts := texts(member(set, "host")); hosts != nil {
				p.Hosts = hosts
			}
		}
		handlers, _ := member(r, "handle").([]any)
		for _, h := range handlers {
			if member(h, "handler") == "gluu_ui" {
				here := p
				prefix, _ := member(h, "path_prefix").(string)
				here.Prefix = strings.TrimSuffix(prefix, "/")
				here.Local, _ = member(h, "local").(bool)
				*found = append(*found, here)
			}
			walkRoutes(member(h, "routes"), p, found)
		}
	}
}

// change is a configuration that someone wants.
type change struct {
	by, note string
	text     string // in the form of sources
	config   []byte
	shown    *redact.Shown // knows the secrets that are not to be in an error
	place    string        // of the only value that changes, "" for all
	value    []byte
	onReturn func(p *liveconfig.Pending, err error)
}

// load runs a configuration on trial.
func (e *configEditor) load(ctx context.Context, from *source, c *change) error {
	p := &liveconfig.Pending{
		By: c.by, Serial: serials.Load(), Former: from.running.JSON, Config: canonical(c.config), Restore: e.restoreFormer, Ended: c.onReturn,
	}
	p.Kept = func() error {
		err := saveForRestart(p.Former, p.Config)
		if e.file != "" {
			err = errors.Join(err, e.writeFile(from.text, c.text))
		}
		return err
	}
	if err := e.trials.Begin(p); err != nil {
		return err
	}
	// The request may end with the server that it came by; the change does not.
	ctx = context.WithoutCancel(ctx)
	if err := e.apply(ctx, from.running.ETag, c); err != nil {
		if e.isStill(ctx, from, err) {
			e.trials.Cancel(p)
		}
		return err
	}
	if loaded, err := e.endpoint.Read(ctx); err == nil {
		e.trials.Loaded(p, loaded.ETag)
	}
	saving := saveForRestart(p.Config, p.Former)
	if e.history != nil {
		return errors.Join(saving, e.history.Note(c.text, c.by, c.note))
	}
	return saving
}

func (e *configEditor) apply(ctx context.Context, etag string, c *change) error {
	if c.place == "" {
		return e.endpoint.Replace(ctx, etag, c.config)
	}
	return e.endpoint.ReplaceAt(ctx, etag, c.place, c.value)
}

// saveForRestart has a restart with --resume load a configuration, if it would load
// another one now: what is on trial ends with the process. Both are canonical, as what
// Caddy saves is, so that nothing is read as JSON here.
func saveForRestart(saved, config []byte) error {
	info, err := os.Stat(caddy.ConfigAutosavePath)
	if err != nil || info.Size() != int64(len(saved)) {
		return nil // Caddy saves nothing, or someone else has loaded another one
	}
	now, err := os.ReadFile(caddy.ConfigAutosavePath)
	if err != nil || !bytes.Equal(now, saved) {
		return nil
	}
	if err := liveconfig.WriteFile(caddy.ConfigAutosavePath, config, 0o600); err != nil {
		return fmt.Errorf("a restart with --resume does not load what it should: %w", err)
	}
	return nil
}

// canonical returns a configuration as Caddy keeps, saves and answers it: it reads what
// it is given into any, and writes that. What is not JSON stays as it is.
func canonical(config []byte) []byte {
	var value any
	if json.Unmarshal(config, &value) != nil {
		return config
	}
	text, err := json.Marshal(value)
	if err != nil {
		return config
	}
	return text
}

// isStill reports whether the former configuration is known to run after a change has
// failed. If the endpoint did not answer, the new one may have been loaded, and then the
// trial goes on, so that the former one returns.
func (e *configEditor) isStill(ctx context.Context, from *source, failed error) bool {
	if _, isRefused := errors.AsType[*liveconfig.RefusedError](failed); isRefused || errors.Is(failed, liveconfig.ErrChanged) {
		return true
	}
	now, err := e.endpoint.Read(ctx)
	return err == nil && now.ETag == from.running.ETag
}

// restoreFormer loads the configuration before a trial, unless someone has loaded
// another one since. If the admin endpoint does not answer it is loaded all the same:
// a gateway that no one reaches must come back.
func (e *configEditor) restoreFormer(ctx context.Context, p *liveconfig.Pending) error {
	if p.ETag != "" {
		err := e.endpoint.Replace(ctx, p.ETag, p.Former)
		_, isRefused := errors.AsType[*liveconfig.RefusedError](err)
		if err == nil || errors.Is(err, liveconfig.ErrChanged) || isRefused {
			return err
		}
	}
	return caddy.Load(p.Former, true)
}

// writeFile writes a Caddyfile that was kept, and the former one beside it.
func (e *configEditor) writeFile(former, text string) error {
	name, err := filepath.EvalSymlinks(e.file)
	if err != nil {
		return err
	}
	now, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if string(now) != former {
		return fmt.Errorf("%s was changed by someone else meanwhile, so it was not written: the gateway runs your configuration until it is started again", e.file)
	}
	if err := liveconfig.ReplaceFile(name+".bak", now, 0o600); err != nil {
		return err
	}
	return liveconfig.WriteFile(name, []byte(text), 0o600)
}

// returned records how a trial ended without being kept.
func returned(p *liveconfig.Pending, err error) {
	c := audit.Change{By: p.By, From: audit.Configuration, Change: "former configuration returned", Detail: "no one confirmed the new one"}
	switch {
	case errors.Is(err, liveconfig.ErrChanged):
		c.Change, c.Detail = "former configuration not returned", "someone else has changed the configuration since"
	case err != nil:
		c.Change, c.Detail = "former configuration not returned", err.Error()
	}
	audit.Recent.Add(c)
}
