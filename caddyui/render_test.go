// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"compress/gzip"
	"testing"
	"time"
)

func TestCharactersThatDoNotShowAreMadeVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain <b>\n\t":       "plain <b>\n\t",
		"Grüße 世界 🙂":          "Grüße 世界 🙂",
		"a\x00b\x1b[31m\rc":   `a\u{0000}b\u{001b}[31m\u{000d}c`,
		"/gnp.\u202eexe":      `/gnp.\u{202e}exe`,
		"\u2066x\u2069\u200b": `\u{2066}x\u{2069}\u{200b}`,
		"\u0085\u2028\ufeff":  `\u{0085}\u{2028}\u{feff}`,
		"broken \xff":         `broken \u{fffd}`,
	} {
		if got := string(clean([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNumbersAndTimes(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u2009000", 1234567: "1\u2009234\u2009567"} {
		if got := groupDigits(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	if got := when(at); got != `<time datetime="2026-03-04T04:06:07Z">2026-03-04 04:06:07 UTC</time>` {
		t.Errorf("got %s", got)
	}
}

// What a browser loads once stays small.
func TestAssetsAreSmall(t *testing.T) {
	for name, most := range map[string]int{"app.js": 40 << 10, "style.css": 20 << 10} {
		text, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(text)
		_ = w.Close()
		size := b.Len()
		if name == "style.css" {
			size = len(text) // its bound is without compression
		}
		if size > most {
			t.Errorf("%s has %d bytes, want at most %d", name, size, most)
		}
	}
}

func TestSentences(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a b": "A b.", "a b.": "A b.", "a": "A.", "öffnen": "Öffnen.", "ärger.": "Ärger.", "日本": "日本.", "ǆ": "ǅ.", `"x" is`: `"x" is.`, ".": "..",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
