// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// A Browser is a real one without a screen. It decides by itself which cookies
// it keeps and sends, and how it labels its requests.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// StartBrowser starts a browser for the life of the test. The test skips itself
// if none is installed.
func StartBrowser(t testing.TB) *Browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(Chromium(t)),
		chromedp.Flag("ignore-certificate-errors", true), // those of a test
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { dieWithParent(cmd) }),
	}
	for _, flag := range ChromiumFlags(t.TempDir()) {
		name, value, valued := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !valued {
			options = append(options, chromedp.Flag(name, true))
			continue
		}
		options = append(options, chromedp.Flag(name, value))
	}
	allocator, endBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endFirstTab := chromedp.NewContext(allocator)
	t.Cleanup(func() { endFirstTab(); endBrowser() })
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatalf("starting the browser: %v", err)
	}
	return &Browser{t: t, ctx: ctx}
}

// A Window is a browser window with cookies of its own, as of another person.
type Window struct {
	t   testing.TB
	ctx context.Context

	mu        sync.Mutex
	addresses []string
	problems  []string
}

// Window opens a window for the life of a test.
func (b *Browser) Window(t testing.TB) *Window {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a window: %v", err)
	}
	return &Window{t: t, ctx: ctx}
}

// Cookies returns the values of the cookies that the window has, by name.
func (w *Window) Cookies() map[string]string {
	w.t.Helper()
	result, err := chromedp.CallBrowser(w.ctx, storage.GetCookies, storage.GetCookiesParams{
		BrowserContextID: chromedp.FromContext(w.ctx).BrowserContextID,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	named := make(map[string]string, len(result.Cookies))
	for _, cookie := range result.Cookies {
		named[cookie.Name] = cookie.Value
	}
	return named
}

// A Tab is one page of a window.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Tab opens a tab, which shares the cookies of the window.
func (w *Window) Tab() *Tab {
	w.t.Helper()
	ctx, end := chromedp.NewContext(w.ctx)
	w.t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		w.t.Fatalf("opening a tab: %v", err)
	}
	if err := chromedp.Listen(ctx, w.note); err != nil {
		w.t.Fatal(err)
	}
	return &Tab{w.t, ctx}
}

// note keeps the address of each request, and what the browser complains about.
func (w *Window) note(event any) {
	w.noteProblem(event)
	var request *network.Request
	switch sent := event.(type) {
	case *network.EventRequestWillBeSent:
		request = sent.Request
	case network.EventRequestWillBeSent:
		request = sent.Request
	}
	if request == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addresses = append(w.addresses, request.URL)
}

// Addresses returns the addresses that the tabs have requested, in order.
func (w *Window) Addresses() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.addresses)
}

// do does something in the tab within a time that a slow machine needs.
func (b *Tab) do(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		b.t.Fatalf("%s: %v; the tab shows %s: %s", what, err, b.Location(), b.Text())
	}
}

// Open enters an address and waits until a page is loaded, wherever the
// redirects lead.
func (b *Tab) Open(address string) {
	b.t.Helper()
	b.do("opening "+address, chromedp.Navigate(address))
}

// Click clicks on the element of a CSS selector.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.do("clicking on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type types a text into the element of a CSS selector.
func (b *Tab) Type(selector, text string) {
	b.t.Helper()
	b.do("typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Location is the address that the tab shows.
func (b *Tab) Location() string { return b.eval("location.href") }

// Text is what a person reads on the page.
func (b *Tab) Text() string { return b.eval(`document.body ? document.body.innerText : ""`) }

// Eval evaluates an expression in the page, awaits it if it is a promise, and
// returns it as text.
func (b *Tab) Eval(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluating %s: %v", expression, err)
	}
	return asText(value)
}

// eval is Eval of what a page that is just being left may not answer: "" then.
func (b *Tab) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression))
	if err != nil {
		return ""
	}
	return asText(value)
}

func asText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// WaitText waits until the page says something.
func (b *Tab) WaitText(text string) {
	b.t.Helper()
	Eventually(b.t, patience, func() string {
		if shown := b.Text(); !strings.Contains(shown, text) {
			return "the tab shows " + b.Location() + ": " + shown
		}
		return ""
	})
}

// WaitLocation waits until the tab shows exactly this address, loaded.
func (b *Tab) WaitLocation(address string) {
	b.t.Helper()
	Eventually(b.t, patience, func() string {
		if at := b.Location(); at != address || b.eval("document.readyState") != "complete" {
			return "the tab shows " + at + ": " + b.Text() + ", not " + address
		}
		return ""
	})
}
