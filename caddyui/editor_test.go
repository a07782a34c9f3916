// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/uilink"
	"github.com/caddy-gluu/gateway/introspect"

	_ "github.com/caddy-gluu/gateway/caddyadmin" // GET /gluu/ui
)

// trialClock is the clock of trials, moved by hand.
type trialClock struct {
	mu   sync.Mutex
	now  time.Time
	due  time.Time
	fire func()
}

func (c *trialClock) after(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due, c.fire = c.now.Add(d), f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fire = nil
		return true
	}
}

// pass lets time pass; what is due then happens before it returns.
func (c *trialClock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	fire := c.fire
	if fire != nil && !c.now.Before(c.due) {
		c.fire = nil
	} else {
		fire = nil
	}
	c.mu.Unlock()
	if fire != nil {
		fire()
	}
}

func (c *trialClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// editSite is a gateway whose configuration is edited on its pages, over the network.
type editSite struct {
	t     *testing.T
	pages string
	site  string // address of the site beside it
	admin string
	clock *trialClock
}

// siteWith returns a Caddyfile whose other site answers with a text.
func (s *editSite) siteWith(answer, more string) string {
	dir := s.t.TempDir()
	pages := strings.TrimSuffix(strings.TrimPrefix(s.pages, "http://"), "/")
	return "{\n" + caddytest.Options(dir, s.admin) + "\n}\nhttp://" + pages + " {\n\tbind 127.0.0.1\n\tgluu_ui {\n\t\tlocal\n\t\tedit consumers config\n" + more +
		"\t}\n}\nhttp://" + s.site + " {\n\tbind 127.0.0.1\n\tbasic_auth /private {\n\t\tann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n\t}\n\trespond " + answer + "\n}\n"
}

func newEditSite(t *testing.T) *editSite {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	clock := &trialClock{now: time.Now()}
	former := liveconfig.Trial
	liveconfig.Trial = liveconfig.NewTrials(clock.time, clock.after)
	t.Cleanup(func() { liveconfig.Trial = former })
	caddytest.StopAfter(t)
	return &editSite{t, "http://" + caddytest.FreeAddress(t) + "/", caddytest.FreeAddress(t), caddytest.FreeAddress(t), clock}
}

func startEditSite(t *testing.T) *editSite {
	t.Helper()
	s := newEditSite(t)
	if err := caddytest.Run(s.siteWith("one", ""), s.site); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what the site beside the pages answers.
func (s *editSite) answer() string {
	s.t.Helper()
	response := s.ask("/")
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// ask sends a request to the site, again if it comes to a listener that just ends.
func (s *editSite) ask(path string) *http.Response {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + s.site + path)
		if err == nil {
			return response
		}
		if time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

// browser is one that has opened a link.
type browser struct {
	s      *editSite
	client *http.Client
}

func (s *editSite) open() *browser {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	b := &browser{s, &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	_, secret, _ := strings.Cut(uilink.Open.New()[0].URL, "#")
	if status, _ := b.send("open", url.Values{"secret": {secret}}); status != http.StatusSeeOther {
		s.t.Fatalf("opening the pages: got %d", status)
	}
	return b
}

func (b *browser) get(path string) (int, string) {
	b.s.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

func (b *browser) send(path string, form url.Values) (int, string) {
	b.s.t.Helper()
	return b.do(http.MethodPost, path, form)
}

func (b *browser) do(method, path string, form url.Values) (int, string) {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.s.pages+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

var (
	fieldPattern = regexp.MustCompile(`name="(token|base|version)" value="([^"]*)"`)
	textPattern  = regexp.MustCompile(`(?s)<textarea id="text" name="text"[^>]*>\n(.*?)</textarea>`)
)

// form reads the form of a page of the configuration.
func (b *browser) form() url.Values {
	b.s.t.Helper()
	status, page := b.get("configuration")
	if status != http.StatusOK {
		b.s.t.Fatalf("got %d %s", status, page)
	}
	return formOf(b.s.t, page)
}

func formOf(t *testing.T, page string) url.Values {
	t.Helper()
	form := url.Values{}
	for _, found := range fieldPattern.FindAllStringSubmatch(page, -1) {
		form.Set(found[1], html.UnescapeString(found[2]))
	}
	text := textPattern.FindStringSubmatch(page)
	if text == nil {
		t.Fatalf("there is no form in %s", page)
	}
	form.Set("text", html.UnescapeString(text[1]))
	return form
}

// edited is a form with something replaced in its text.
func edited(t *testing.T, form url.Values, before, after, action string) url.Values {
	t.Helper()
	if !strings.Contains(form.Get("text"), before) {
		t.Fatalf("the configuration lacks %q: %s", before, form.Get("text"))
	}
	out := url.Values{}
	for name := range form {
		out.Set(name, form.Get(name))
	}
	out.Set("text", strings.ReplaceAll(strings.Replace(form.Get("text"), before, after, 1), "\n", "\r\n")) // as browsers send it
	out.Set("action", action)
	return out
}

func (b *browser) load(before, after string) {
	b.s.t.Helper()
	if status, page := b.send("configuration", edited(b.s.t, b.form(), before, after, "load")); status != http.StatusSeeOther {
		b.s.t.Fatalf("loading: got %d %s", status, page)
	}
}

func (b *browser) confirm() (int, string) {
	b.s.t.Helper()
	return b.send("configuration-confirm", url.Values{"token": {b.form().Get("token")}})
}

func TestAConfigurationIsReviewedLoadedAndKept(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	form := b.form()
	if strings.Contains(form.Get("text"), "$2a$") || !strings.Contains(form.Get("text"), "(secret ") {
		t.Error("the page has the hash of a password")
	}
	status, page := b.send("configuration", edited(t, form, `"body": "one"`, `"body": "two"`, "review"))
	if status != http.StatusOK || !strings.Contains(page, "&#43;</td>") || !strings.Contains(page, "Load it") || s.answer() != "one" {
		t.Errorf("reviewing: got %d %s; the site answers %q", status, page, s.answer())
	}
	b.load(`"body": "one"`, `"body": "two"`)
	if got := s.answer(); got != "two" {
		t.Errorf("after loading the site answers %q", got)
	}
	if response, err := http.Get("http://" + s.site + "/private"); err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the password that was not touched: got %v, %v", response, err)
	}
	if _, page := b.get("configuration"); !strings.Contains(page, "runs on trial") {
		t.Errorf("the page does not say that the configuration is on trial: %s", page)
	}
	if status, page := b.confirm(); status != http.StatusSeeOther {
		t.Fatalf("confirming: got %d %s", status, page)
	}
	s.clock.pass(time.Hour)
	if got := s.answer(); got != "two" {
		t.Errorf("an hour after it was kept the site answers %q", got)
	}
	if status, _ := b.confirm(); status != http.StatusConflict {
		t.Errorf("confirming again: got %d", status)
	}
	var changes []string
	for _, c := range audit.Recent.List(0, 2) {
		changes = append(changes, c.Change+" by "+c.By)
	}
	if got := strings.Join(changes, ", "); got != "configuration kept by this machine, configuration loaded by this machine" {
		t.Errorf("the audit has %s", got)
	}
}

// A lock-out lasts a minute.
func TestSec_S415_ALockOutComesBack(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	b.load(`"body": "one"`, `"body": "locked out"`)
	s.clock.pass(liveconfig.TrialTime - time.Second)
	if got := s.answer(); got != "locked out" {
		t.Errorf("before the minute is over the site answers %q", got)
	}
	s.clock.pass(time.Second)
	if got := s.answer(); got != "one" {
		t.Errorf("after a minute the site answers %q", got)
	}
	if c := audit.Recent.List(0, 1)[0]; c.Change != "former configuration returned" || c.By != "this machine" {
		t.Errorf("the audit has %+v", c)
	}
	t.Run("at once", func(t *testing.T) {
		b.load(`"body": "one"`, `"body": "two"`)
		if status, page := b.send("configuration-return", url.Values{"token": {b.form().Get("token")}}); status != http.StatusSeeOther {
			t.Errorf("got %d %s", status, page)
		}
		if got := s.answer(); got != "one" {
			t.Errorf("the site answers %q", got)
		}
	})
	t.Run("not over what others have loaded since", func(t *testing.T) {
		b.load(`"body": "one"`, `"body": "two"`)
		s.patch(`"three"`)
		if status, page := b.confirm(); status != http.StatusPreconditionFailed || !strings.Contains(page, "Someone else has loaded another configuration") {
			t.Errorf("confirming what does not run: got %d %s", status, page)
		}
		s.clock.pass(liveconfig.TrialTime)
		if got := s.answer(); got != "three" {
			t.Errorf("the site answers %q", got)
		}
		if c := audit.Recent.List(0, 1)[0]; c.Change != "former configuration not returned" {
			t.Errorf("the audit has %+v", c)
		}
	})
}

// patch changes the answer of the site on Caddy's admin endpoint.
func (s *editSite) patch(body string) {
	s.t.Helper()
	endpoint, err := liveconfig.NewEndpoint(s.admin)
	if err != nil {
		s.t.Fatal(err)
	}
	now, err := endpoint.Read(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	changed := regexp.MustCompile(`"body":"[^"]*"`).ReplaceAll(now.JSON, []byte(`"body":`+body))
	if err := endpoint.Replace(context.Background(), now.ETag, changed); err != nil {
		s.t.Fatal(err)
	}
}

// Two browsers on one configuration: the second one sees what the first has changed.
func TestSec_S412_AConfigurationIsNotOverwrittenUnseen(t *testing.T) {
	s := startEditSite(t)
	first, second := s.open(), s.open()
	stale := second.form()
	first.load(`"body": "one"`, `"body": "first"`)
	if status, page := second.send("configuration", edited(t, second.form(), "first", "second", "load")); status != http.StatusConflict {
		t.Errorf("while another one is on trial: got %d %s", status, page)
	}
	first.confirm()
	status, page := second.send("configuration", edited(t, stale, `"body": "one"`, `"body": "second"`, "load"))
	if status != http.StatusPreconditionFailed || s.answer() != "first" {
		t.Fatalf("got %d %s; the site answers %q", status, page, s.answer())
	}
	others, mine, _ := strings.Cut(page, "What loading it changes")
	mine, _, _ = strings.Cut(mine, "</table>")
	for name, part := range map[string][3]string{"others": {others, "one", "first"}, "mine": {mine, "first", "second"}} {
		was := regexp.MustCompile(`<td>-</td><td> *&#34;body&#34;: &#34;` + part[1]).MatchString(part[0])
		is := regexp.MustCompile(`<td>&#43;</td><td> *&#34;body&#34;: &#34;` + part[2]).MatchString(part[0])
		if !was || !is {
			t.Errorf("%s: the page does not show %q and %q", name, part[1], part[2])
		}
	}
	again := formOf(t, page)
	again.Set("action", "load")
	if status, page := second.send("configuration", again); status != http.StatusSeeOther || s.answer() != "second" {
		t.Errorf("after looking at it: got %d %s", status, page)
	}
}

// What the pages need to go on is not taken away by them.
func TestSec_S415_ThePagesStay(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	for name, c := range map[string]struct{ old, new, want string }{
		"the handler goes":     {`"handler": "gluu_ui"`, `"handler": "vars"`, "would remove the pages"},
		"another prefix":       {`"local": true`, `"local": true, "path_prefix": "/else"`, "would remove the pages"},
		"the admin address":    {`"listen": "127.0.0.1:`, `"listen": "127.0.0.2:`, "through Caddy&#39;s admin endpoint"},
		"another listener":     {`"` + strings.TrimSuffix(strings.TrimPrefix(s.pages, "http://"), "/") + `"`, `"127.0.0.1:1"`, "would remove the pages"},
		"the admin endpoint":   {`"admin": {`, `"admin": {"enforce_origin": true,`, "through Caddy&#39;s admin endpoint"},
		"not JSON":             {`"apps": {`, `"apps": `, "Line "},
		"an unknown member":    {`"apps": {`, `"ports": 1, "apps": {`, "unknown field"},
		"an unknown handler":   {`"body": "one"`, `"bodies": "one"`, "goes on with the former configuration"},
		"an invented marker":   {`"body": "one"`, `"body": "(secret 0123456789abcdef)"`, "stands for no secret"},
		"not an object at all": {`{`, `[`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, page := b.send("configuration", edited(t, b.form(), c.old, c.new, "load"))
			if status != http.StatusBadRequest || !strings.Contains(page, c.want) || s.answer() != "one" {
				t.Errorf("got %d %s, want %q; the site answers %q", status, page, c.want, s.answer())
			}
			if liveconfig.Trial.Current() != nil {
				t.Error("what was not loaded is on trial")
			}
		})
	}
}

// Nothing but an admin's form of these pages changes the configuration.
func TestOnlyAnAdminEditsTheConfiguration(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	form := edited(t, b.form(), `"body": "one"`, `"body": "two"`, "load")
	for name, change := range map[string]func(u url.Values) url.Values{
		"no token":            func(u url.Values) url.Values { u.Del("token"); return u },
		"another one's token": func(u url.Values) url.Values { u.Set("token", s.open().form().Get("token")); return u },
	} {
		copied := edited(t, form, "two", "two", "load")
		if status, _ := b.send("configuration", change(copied)); status != http.StatusForbidden {
			t.Errorf("%s: got %d", name, status)
		}
	}
	if status, _ := b.get("configuration?" + form.Encode()); status != http.StatusOK && status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("GET: got %d", status)
	}
	jar, _ := cookiejar.New(nil)
	stranger := &browser{s, &http.Client{Jar: jar}}
	if status, _ := stranger.send("configuration", form); status != http.StatusUnauthorized {
		t.Errorf("a stranger: got %d", status)
	}
	large := url.Values{"token": {form.Get("token")}, "text": {strings.Repeat("x", maxConfigBody)}}
	if status, _ := b.send("configuration", large); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form that is too large: got %d", status)
	}
	if s.answer() != "one" {
		t.Errorf("the site answers %q", s.answer())
	}
	u := newUI(t, introspect.Running())
	if got := post(t, u, "/configuration", "admins", url.Values{}); got.StatusCode != http.StatusForbidden || !strings.Contains(bodyOf(t, got), "does not name config") {
		t.Errorf("without edit config: got %s", got.Status)
	}
}

func TestVersionsAreKeptAndRestored(t *testing.T) {
	s := startEditSite(t)
	b := s.open()
	b.load(`"body": "one"`, `"body": "two"`)
	b.confirm()
	_, page := b.get("configuration")
	ids := regexp.MustCompile(`configuration-version\?id=([0-9a-f]+)`).FindAllStringSubmatch(page, -1)
	if len(ids) != 2 {
		t.Fatalf("got %d versions: %s", len(ids), page)
	}
	status, page := b.get("configuration-version?id=" + ids[1][1])
	if status != http.StatusOK || strings.Contains(page, "$2a$") || !strings.Contains(page, "Restore it") {
		t.Fatalf("got %d %s", status, page)
	}
	form := url.Values{"action": {"load"}}
	for _, found := range fieldPattern.FindAllStringSubmatch(page, -1) {
		form.Set(found[1], found[2])
	}
	form.Set("text", html.UnescapeString(regexp.MustCompile(`(?s)<textarea name="text" hidden>\n(.*?)</textarea>`).FindStringSubmatch(page)[1]))
	if status, page := b.send("configuration", form); status != http.StatusSeeOther || s.answer() != "one" {
		t.Errorf("restoring: got %d %s", status, page)
	}
	if status, _ := b.get("configuration-version?id=0123"); status != http.StatusNotFound {
		t.Errorf("an unknown version: got %d", status)
	}
	files, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_DATA_HOME"), "caddy", "gluu", "configurations", "*", "*.json"))
	if len(files) != 3 {
		t.Errorf("%d versions are in files", len(files))
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", file, info.Mode(), err)
		}
	}
}
