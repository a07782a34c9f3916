// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
)

// maxField bounds a header field that a policy sets.
const maxField = 8 << 10

func isFieldName(name string) bool { return httpguts.ValidHeaderFieldName(name) }

// isFieldValue reports whether a text can be a header field without being another one
// to someone.
func isFieldValue(text string) bool {
	return len(text) <= maxField && utf8.ValidString(text) && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

func decodeRune(text string) (rune, int) { return utf8.DecodeRuneInString(text) }

// warnings are given once each: a policy repeats what it does with every request.
type warnings struct {
	mu    sync.Mutex
	given map[string]bool
}

// maxWarnings bounds what is remembered: a policy can make names up.
const maxWarnings = 100

func (w *warnings) once(logger *zap.Logger, text, about string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := text + "\n" + about
	if w.given[key] || len(w.given) >= maxWarnings {
		return
	}
	if w.given == nil {
		w.given = map[string]bool{}
	}
	w.given[key] = true
	logger.Warn(text, zap.String("value", about))
}
