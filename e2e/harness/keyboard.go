// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/chromedp/chromedp/kb"
)

// watchFocus notes what gets the focus, and whether that is seen.
const watchFocus = `(() => {
	const stops = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
		.filter(e => !e.disabled && e.checkVisibility({visibilityProperty: true}));
	const reached = new Set(), unseen = new Set();
	document.addEventListener("focusin", event => {
		reached.add(event.target);
		const style = getComputedStyle(event.target);
		if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) unseen.add(event.target);
	});
	globalThis.focusFaults = () => JSON.stringify([
		...stops.filter(e => e.isConnected && !reached.has(e)).map(e => "not reached: " + e.outerHTML.slice(0, 120)),
		...[...unseen].map(e => "no visible focus: " + e.outerHTML.slice(0, 120)),
	]);
	document.activeElement?.blur();
	return String(stops.length);
})()`

// KeyboardFaults goes through a page by the tabulator key, and returns what cannot be
// reached that way, and what does not show that it has the focus.
func (b *Tab) KeyboardFaults() (faults []string) {
	b.t.Helper()
	n, err := strconv.Atoi(b.Eval(watchFocus))
	if err != nil || n == 0 {
		b.t.Fatalf("the page has %d elements to go to, %v", n, err)
	}
	for range n + 10 { // the browser may stop at what can be scrolled too
		b.Press(kb.Tab)
	}
	if err := json.Unmarshal([]byte(b.Eval("focusFaults()")), &faults); err != nil {
		b.t.Fatal(err)
	}
	return faults
}

// maxStops is how often a person presses the tabulator key at most.
const maxStops = 300

// TabTo goes to the element of a CSS selector by the tabulator key.
func (b *Tab) TabTo(selector string) {
	b.t.Helper()
	for range maxStops {
		b.Press(kb.Tab)
		if b.Eval(fmt.Sprintf("String(!!document.activeElement?.matches(%q))", selector)) == "true" {
			return
		}
	}
	b.t.Fatalf("the tabulator key does not reach %s; the tab shows %s: %s", selector, b.Location(), b.Text())
}
