// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Caddyfile returns a Caddyfile without its secrets: what follows a word on its line
// that is the name of a secret, and what looks like one, in comments too.
func Caddyfile(key string, text []byte) (*Shown, error) {
	tokens, err := caddyfile.Tokenize(text, "Caddyfile")
	if err != nil {
		return nil, err
	}
	found := map[string]string{} // secrets, each with the first word of its line
	line, first, isSecret := -1, "", false
	for _, token := range tokens {
		if token.Line != line {
			line, first, isSecret = token.Line, token.Text, false
		}
		note(found, token.Text, first, &isSecret)
	}
	for text := range strings.Lines(string(text)) {
		if _, comment, ok := strings.Cut(text, "#"); ok {
			noteComment(found, comment)
		}
	}
	return replaceAll(key, string(text), found), nil
}

// note adds a word to the secrets if it is one. After the name of a secret all words
// of the line are.
func note(found map[string]string, word, first string, isSecret *bool) {
	switch {
	case word == "" || word == "{" || word == "}" || isPlaceholder(word):
	case *isSecret || looksSecret(word):
		found[word] = first
	case isSecretName(strings.TrimLeft(word, "+->?")):
		*isSecret = true
	}
}

func noteComment(found map[string]string, comment string) {
	isSecret, first := false, "#"
	for word := range strings.FieldsSeq(comment) {
		note(found, strings.Trim(word, `"'`+"`"), first, &isSecret)
	}
}

// short is how long a secret may be that is also found elsewhere by chance.
const short = 6

// replaceAll replaces each secret wherever it is, the longest first. A short one is
// replaced where its line begins as that of the secret does.
func replaceAll(key, text string, found map[string]string) *Shown {
	s := &shower{[]byte(key), map[string]secret{}}
	values := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for _, value := range values {
		for _, form := range []string{strings.ReplaceAll(value, `"`, `\"`), value} {
			if strings.Contains(text, form) {
				text = replace(text, form, s.hide(form, "Caddyfile", found[value], false), found[value])
			}
		}
	}
	return &Shown{text, s.secrets}
}

func replace(text, secret, by, first string) string {
	if len(secret) >= short || first == "#" {
		return strings.ReplaceAll(text, secret, by)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), first) {
			line = strings.ReplaceAll(line, secret, by)
		}
		b.WriteString(line)
	}
	return b.String()
}

// RestoreCaddyfile puts the secrets back into an edited Caddyfile.
func (s *Shown) RestoreCaddyfile(edited string) (string, error) {
	var b strings.Builder
	number := 0
	for line := range strings.Lines(edited) {
		number++
		for _, found := range marker.FindAllString(line, -1) {
			known, ok := s.secrets[found]
			if !ok {
				return "", fmt.Errorf("line %d: %q stands for no secret of this file: write the value", number, found)
			}
			line = strings.ReplaceAll(line, found, known.value)
		}
		b.WriteString(line)
	}
	return b.String(), nil
}
