// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Problems returns what the browser has complained about in all tabs: errors on the
// console, exceptions, what a content security policy has blocked,
// and dialogs.
func (w *Window) Problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.problems)
}

// noteProblem keeps what an event complains about.
func (w *Window) noteProblem(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			problem = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		problem = "dialog: " + e.Message
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			problem = "console: " + string(e.Type)
		}
	}
	if problem == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, problem)
}

// Look sets the width of the tab and the theme that the person prefers.
func (b *Tab) Look(width int, theme string) {
	b.t.Helper()
	b.do("resizing", chromedp.EmulateViewport(int64(width), 900, chromedp.EmulateMobile)) // without room for scroll bars
	b.call("choosing a theme", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return err
	})
}

// WithoutScript has the tab run no scripts of pages from now on.
func (b *Tab) WithoutScript() {
	b.t.Helper()
	b.call("disabling scripts", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// Press presses a key, such as kb.Tab, wherever the focus is.
func (b *Tab) Press(key string) {
	b.t.Helper()
	b.do("pressing a key", chromedp.KeyEvent(key))
}

// Screenshot returns what the whole page looks like, as PNG.
func (b *Tab) Screenshot() (png []byte) {
	b.t.Helper()
	b.call("taking a screenshot", func(ctx context.Context) error {
		whole := true
		result, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
		png = result.Data
		return err
	})
	return png
}

func (b *Tab) call(what string, command func(ctx context.Context) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := command(ctx); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Axe returns what axe-core finds wrong with the page: a line for each rule that an
// element breaks. The test skips itself if Node.js is not installed.
func (b *Tab) Axe() []string {
	b.t.Helper()
	if _, err := node(); errors.Is(err, ErrMissing) {
		b.t.Skipf("NOT TESTED: accessibility: %v", err)
	} else if err != nil {
		b.t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(Root(), "e2e", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	if b.Eval("typeof axe") == "undefined" {
		b.Eval(string(script) + "; 'loaded'")
	}
	found := b.Eval(`axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then(r => JSON.stringify(r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html.slice(0, 160) + " | " + (n.failureSummary || "").replaceAll("\n", " ")))))`)
	var lines []string
	if err := json.Unmarshal([]byte(found), &lines); err != nil {
		b.t.Fatalf("axe: %v: %s", err, strings.TrimSpace(found))
	}
	return lines
}
