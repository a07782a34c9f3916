// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"bytes"
	"encoding/json"
)

// A walker goes once through a text that encoding/json has found valid and
// hands out what stands where. encoding/json itself says neither: it takes
// members of unknown name or of another case, lets the last of two members of
// one name win, and forgets positions.
//
// Every call of a callback must consume exactly one value.
type walker struct {
	text []byte
	pos  int
}

// kind returns the byte with which the next value begins, with '0' for every
// number: one of { [ " 0 t f n.
func (w *walker) kind() byte {
	w.space()
	if w.pos == len(w.text) {
		return 0
	}
	if c := w.text[w.pos]; c != '-' && (c < '0' || c > '9') {
		return c
	}
	return '0'
}

func (w *walker) space() {
	for w.pos < len(w.text) {
		switch w.text[w.pos] {
		case ' ', '\t', '\r', '\n':
			w.pos++
		default:
			return
		}
	}
}

// object calls member with the name of each member, w standing before its
// value; at is where the name begins.
func (w *walker) object(member func(name string, at int) *Error) *Error {
	w.pos++ // {
	for w.kind() != '}' {
		at := w.pos
		name := w.str()
		w.space()
		w.pos++ // :
		w.space()
		if err := member(name, at); err != nil {
			return err
		}
		if w.kind() == ',' {
			w.pos++
		}
	}
	w.pos++
	return nil
}

// array calls element with each index, w standing before the value.
func (w *walker) array(element func(i int) *Error) *Error {
	w.pos++ // [
	for i := 0; w.kind() != ']'; i++ {
		if err := element(i); err != nil {
			return err
		}
		if w.kind() == ',' {
			w.pos++
		}
	}
	w.pos++
	return nil
}

// str consumes a string and returns what it stands for.
func (w *walker) str() string {
	raw := w.raw()
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic("scopeexpr: walking an invalid text: " + err.Error())
	}
	return s
}

// raw consumes one value and returns its text.
func (w *walker) raw() json.RawMessage {
	w.space()
	start := w.pos
	depth := 0
	for {
		switch c := w.text[w.pos]; c {
		case '{', '[':
			depth++
			w.pos++
		case '}', ']':
			depth--
			w.pos++
		case '"':
			w.skipString()
		case ' ', '\t', '\r', '\n', ',', ':':
			w.pos++
			continue // between values: cannot end one
		default:
			w.skipScalar()
		}
		if depth == 0 {
			return json.RawMessage(w.text[start:w.pos:w.pos])
		}
	}
}

func (w *walker) skipString() {
	w.pos++
	for w.text[w.pos] != '"' {
		if w.text[w.pos] == '\\' {
			w.pos++
		}
		w.pos++
	}
	w.pos++
}

func (w *walker) skipScalar() {
	for w.pos < len(w.text) && bytes.IndexByte([]byte(" \t\r\n,:]}"), w.text[w.pos]) < 0 {
		w.pos++
	}
}

// locate returns the offset of the value to which path leads, or of the
// innermost value on the way that is there.
func locate(text []byte, path JSONPath) int {
	w := walker{text: text}
	w.space()
	for _, step := range path {
		found := -1
		switch kind := w.kind(); step := step.(type) {
		case int:
			if kind != '[' {
				return w.pos
			}
			at := w.pos
			w.array(func(i int) *Error {
				w.space()
				if i == step {
					found = w.pos
				}
				w.raw()
				return nil
			})
			w.pos = at
		case string:
			if kind != '{' {
				return w.pos
			}
			at := w.pos
			w.object(func(name string, _ int) *Error {
				if name == step && found < 0 {
					found = w.pos
				}
				w.raw()
				return nil
			})
			w.pos = at
		}
		if found < 0 {
			return w.pos
		}
		w.pos = found
	}
	return w.pos
}
