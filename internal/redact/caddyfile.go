// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Caddyfile returns a Caddyfile without its secrets: what follows a word on its line
// that is the name of a secret, and what looks like one, in comments too. If one of
// them cannot be found in the text, nothing is shown.
func Caddyfile(key string, text []byte) (*Shown, error) {
	tokens, err := caddyfile.Tokenize(text, "Caddyfile")
	if err != nil {
		// The line of a heredoc, or what stands for its name, is not shown.
		text, _, _ := strings.Cut(err.Error(), " [")
		text, _, _ = strings.Cut(text, "; got ")
		text, _, _ = strings.Cut(text, " got '")
		return nil, errors.New(strings.TrimRight(text, ",;"))
	}
	found := words{}
	var arguments []string // of import
	line, first, isSecret, fromArguments := -1, "", false, false
	for i, token := range tokens {
		if token.Line != line {
			line, first, isSecret = token.Line, token.Text, false
		}
		if first == importWord && i > 1 && tokens[i-1].Line == line && tokens[i-2].Line == line {
			arguments = append(arguments, token.Text)
		}
		fromArguments = fromArguments || isSecret && strings.Contains(token.Text, "{args")
		found.note(token.Text, first, &isSecret)
	}
	if fromArguments { // of a snippet: which one is not looked for
		for _, word := range arguments {
			found.add(word, importWord)
		}
	}
	for text := range strings.Lines(string(text)) {
		if _, comment, ok := strings.Cut(text, "#"); ok {
			found.noteComment(comment)
		}
	}
	return replaceAll(key, string(text), found)
}

// words are secrets, each with the first words of its lines.
type words map[string][]string

// Secrets on lines that begin with these are replaced there alone.
const (
	comment    = "#"
	importWord = "import"
)

func (w words) add(word, first string) {
	if word != "" && word != "{" && word != "}" && !isPlaceholder(word) && !slices.Contains(w[word], first) {
		w[word] = append(w[word], first)
	}
}

// note adds a word to the secrets if it is one. After the name of a secret all words
// of the line are.
func (w words) note(word, first string, isSecret *bool) {
	name, value, isPair := strings.Cut(strings.TrimLeft(word, "+->?"), "=")
	switch {
	case *isSecret || !isPlaceholder(word) && looksSecret(word):
		w.add(word, first)
	case isPair && IsSecretName(name):
		w.add(value, first)
	case IsSecretName(strings.TrimRight(name, ":")):
		*isSecret = true
	}
}

func (w words) noteComment(text string) {
	isSecret := false
	for word := range strings.FieldsSeq(text) {
		w.note(strings.Trim(word, `"'`+"`"), comment, &isSecret)
	}
}

// short is how long a secret may be that is also found elsewhere by chance.
const short = 6

// isEverywhere reports whether a secret is replaced wherever it is.
func isEverywhere(value, first string) bool {
	return len(value) >= short && first != comment && first != importWord
}

// form is a secret as it is written.
type form struct {
	text, value string
	firsts      []string
}

// formsOf returns how secrets are written in a text, the longest first.
func formsOf(text string, found words) (forms []form, err error) {
	for value, firsts := range found {
		written := []string{strings.ReplaceAll(value, `"`, `\"`), value}
		// The lines of a heredoc are indented.
		written = append(written, indented(value).FindAllString(text, -1)...)
		written = slices.DeleteFunc(written, func(form string) bool { return !strings.Contains(text, form) })
		if len(written) == 0 {
			return nil, errors.New("a secret of the file is written in a way that cannot be hidden")
		}
		slices.Sort(written)
		for _, text := range slices.Compact(written) {
			forms = append(forms, form{text, value, firsts})
		}
	}
	slices.SortFunc(forms, func(a, b form) int {
		return cmp.Or(cmp.Compare(len(b.text), len(a.text)), cmp.Compare(a.text, b.text))
	})
	return forms, nil
}

func indented(value string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(strings.ReplaceAll(value, "\r", ""))
	return regexp.MustCompile(strings.ReplaceAll(quoted, "\n", `\r?\n[ \t]*`))
}

// replaceAll replaces each secret wherever it is, the longest first. A short one is
// replaced where its line begins as that of the secret does. The text is gone through
// once, so that no secret is looked for in a marker.
func replaceAll(key, text string, found words) (*Shown, error) {
	forms, err := formsOf(text, found)
	if err != nil {
		return nil, err
	}
	var byFirst [256][]form
	for _, f := range forms {
		byFirst[f.text[0]] = append(byFirst[f.text[0]], f)
	}
	s := &shower{[]byte(key), map[string]secret{}}
	var b strings.Builder
	head, inComment := "", false
	for i := 0; i < len(text); {
		if i == 0 || text[i-1] == '\n' {
			inComment = false
			if i == 0 || !strings.HasSuffix(strings.TrimRight(text[:i], "\r\n"), `\`) {
				head = strings.TrimLeft(text[i:], " \t\"`")
			}
		}
		inComment = inComment || text[i] == '#'
		j := slices.IndexFunc(byFirst[text[i]], func(f form) bool {
			return strings.HasPrefix(text[i:], f.text) && slices.ContainsFunc(f.firsts, func(first string) bool {
				return isEverywhere(f.value, first) || first == comment && inComment || strings.HasPrefix(head, first)
			})
		})
		if j < 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		f := byFirst[text[i]][j]
		var by string
		for _, first := range f.firsts {
			by = s.hide(f.text, "Caddyfile", first, false)
		}
		b.WriteString(by)
		i += len(f.text)
	}
	return &Shown{b.String(), s.secrets}, nil
}

// RestoreCaddyfile puts the secrets back into an edited Caddyfile. A secret that would
// be shown where its marker is now is an error.
func (s *Shown) RestoreCaddyfile(edited string) (string, error) {
	var b strings.Builder
	used := map[string]secret{}
	number := 0
	for line := range strings.Lines(edited) {
		number++
		for _, found := range marker.FindAllString(line, -1) {
			known, ok := s.secrets[found]
			if !ok {
				return "", fmt.Errorf("line %d: %q stands for no secret of this file: write the value", number, found)
			}
			used[found] = known
		}
		b.WriteString(marker.ReplaceAllStringFunc(line, func(found string) string { return used[found].value }))
	}
	again, err := Caddyfile("", []byte(b.String()))
	if err != nil {
		return "", s.WithoutError(err)
	}
	shown := marker.ReplaceAllString(again.Text, "")
	for _, found := range slices.Sorted(maps.Keys(used)) {
		known := used[found]
		isShown := strings.Contains(shown, known.value)
		for first := range known.names {
			if isShown && isEverywhere(known.value, first) {
				return "", fmt.Errorf("%s would be shown where it is now: write the value", found)
			}
		}
	}
	return b.String(), nil
}

// Without returns a text, such as an error, without the secrets of this one.
func (s *Shown) Without(text string) string {
	for _, known := range s.secrets {
		for line := range strings.Lines(known.value) {
			if line = strings.TrimSpace(line); len(line) >= short {
				text = strings.ReplaceAll(text, line, Hidden)
			}
		}
	}
	return text
}

// WithoutError is the same for an error. Its kind is lost.
func (s *Shown) WithoutError(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(s.Without(err.Error()))
}
