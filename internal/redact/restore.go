// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// RestoreJSON puts the secrets back into an edited configuration. A marker is only good
// at the place that it was at: a secret that is moved elsewhere could be shown, or sent
// to someone, by what finds it there. Elements of a list may move within it, with all
// that is in them as it was:
//
//	[{"user": "a", "password": "(secret 1...)"}]
//	[{"user": "new", "password": "x"}, {"user": "a", "password": "(secret 1...)"}]
func (s *Shown) RestoreJSON(edited []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(edited))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, located(edited, err)
	}
	if decoder.More() {
		return nil, errors.New("there is something after the configuration")
	}
	r := restorer{s, value, map[string]bool{}}
	restored, err := r.restore(value, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(restored)
}

// located says at which line an error is.
func located(text []byte, err error) error {
	offset := int64(len(text))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(syntax.Offset, offset)
	}
	before := text[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Errorf("line %d, column %d: %w", line, len(before)-bytes.LastIndexByte(before, '\n')-1, err)
}

// restorer puts secrets into a copy of an edited configuration.
type restorer struct {
	shown  *Shown
	edited any
	moved  map[string]bool // whether an element is one that was moved, by its two places
}

func (r *restorer) restore(value any, path []string) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			if HasMarker(name) {
				return nil, fmt.Errorf("%q at %s: a marker is not the name of a member", name, pointer(path))
			}
			if out[name], err = r.restore(member, append(slices.Clip(path), name)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			if out[i], err = r.restore(element, append(slices.Clip(path), strconv.Itoa(i))); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		return r.reveal(v, path)
	}
	return value, nil
}

// reveal returns the value of a marker. A text with a marker in it is none.
func (r *restorer) reveal(text string, path []string) (any, error) {
	found := marker.FindString(text)
	if found == "" {
		return text, nil
	}
	known, ok := r.shown.secrets[found]
	switch {
	case !ok || found != text:
		return nil, fmt.Errorf("%q at %s stands for no secret of this configuration: write the value", text, pointer(path))
	case !r.isPlaceOf(&known, path):
		return nil, fmt.Errorf("%s is the secret at %s, not at %s: write the value, or move the element of the list without changing it, load that, and change it then", found, pointer(known.path), pointer(path))
	}
	if known.isNumber {
		return json.Number(known.value), nil
	}
	return known.value, nil
}

// isPlaceOf reports whether a secret was at a place, or in an element of a list that has
// been moved as a whole to where it is there.
func (r *restorer) isPlaceOf(known *secret, path []string) bool {
	if slices.Equal(known.path, path) {
		return true
	}
	if len(known.path) != len(path) {
		return false
	}
	i := 0
	for known.path[i] == path[i] {
		i++
	}
	return slices.Equal(known.path[i+1:], path[i+1:]) && slices.ContainsFunc(known.roots, func(root any) bool {
		return r.isMoved(root, known.path[:i+1], path[:i+1])
	})
}

// isMoved reports whether an element of the edited configuration is one of the same list
// as it was, at another place.
func (r *restorer) isMoved(root any, before, now []string) bool {
	key := fmt.Sprintf("%p %s %s", root, pointer(before), pointer(now))
	isMoved, done := r.moved[key]
	if !done {
		was, isElement := elementAt(root, before)
		is, isElementNow := elementAt(r.edited, now)
		isMoved = isElement && isElementNow && reflect.DeepEqual(was, is)
		r.moved[key] = isMoved
	}
	return isMoved
}

// elementAt returns the element of a list.
func elementAt(value any, path []string) (element any, isElement bool) {
	for _, name := range path {
		isElement = false
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value, isElement = v[i], true
		default:
			return nil, false
		}
	}
	return value, isElement
}

// pointer writes a place as a JSON pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return b.String()
}
