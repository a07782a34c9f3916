// SPDX-License-Identifier: Apache-2.0

// Package visible shows text that a client has sent, so that it can neither control a
// terminal nor look like other text.
package visible

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Text returns a text with escapes, as Go and JSON write them, for what cannot be
// seen or changes how the text around it looks: control and format characters,
// among them those of bidirectional text and zero-width ones, odd spaces, characters
// without a meaning, and bytes that are not UTF-8.
func Text(s string) string {
	if !strings.ContainsFunc(s, isHidden) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case !isHidden(r):
			b.WriteRune(r)
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], string(unicode.ReplacementChar)):
			b.WriteString(`\x` + hex(uint64(s[i]), 2))
		case r > 0xffff:
			b.WriteString(`\U` + hex(uint64(r), 8))
		default:
			b.WriteString(`\u` + hex(uint64(r), 4))
		}
	}
	return b.String()
}

// JSON returns a JSON text that means the same, with escapes for all that Text
// escapes.
func JSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, isHiddenInJSON) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !isHiddenInJSON(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b.WriteString(`\u` + hex(uint64(high), 4) + `\u` + hex(uint64(low), 4))
		default:
			b.WriteString(`\u` + hex(uint64(r), 4))
		}
	}
	return b.Bytes()
}

// isHiddenInJSON leaves the space between the members, the only control characters
// that JSON has.
func isHiddenInJSON(r rune) bool { return r >= 0x7f && isHidden(r) }

// isHidden reports whether a character is escaped. Printable characters are letters,
// marks, numbers, punctuation, symbols and the ASCII space.
func isHidden(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r)
}

func hex(n uint64, width int) string {
	digits := strconv.FormatUint(n, 16)
	return strings.Repeat("0", width-len(digits)) + digits
}
