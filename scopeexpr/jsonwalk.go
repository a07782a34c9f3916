// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"strings"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// A walker reads a document value by value and knows the offset of each, so that
// an error can name the line. The text must be valid JSON.
//
// Every call of a callback must consume exactly one value.
type walker struct{ strictjson.Cursor }

func newWalker(text string) walker { return walker{strictjson.NewCursor(text)} }

// object calls member with the name of each member, with w at its value; at is
// the offset of the name.
func (w *walker) object(member func(name string, at int) *Error) *Error {
	for w.Open(); w.More(); {
		at := w.Offset()
		name, _ := w.Name() // damaged strings have been refused
		if err := member(name, at); err != nil {
			return err
		}
	}
	return nil
}

// array calls element with each index, with w at the value.
func (w *walker) array(element func(i int) *Error) *Error {
	w.Open()
	for i := 0; w.More(); i++ {
		if err := element(i); err != nil {
			return err
		}
	}
	return nil
}

// str consumes a string and returns its value, as a copy: a policy that kept a
// piece of the document would keep all of it in memory.
func (w *walker) str() string {
	s, _ := w.Text() // damaged strings have been refused
	return strings.Clone(s)
}

// locate returns the offset of the value to which path leads, or of the
// innermost value on the way that exists.
func locate(text string, path JSONPath) int {
	w := newWalker(text)
	w.Kind()
	for _, step := range path {
		found := w.find(step)
		if found < 0 {
			break
		}
		w.Seek(found)
	}
	return w.Offset()
}

// find returns the offset of one member or element of the value at w, and -1 if
// there is none. It leaves w where it is.
func (w *walker) find(step any) (found int) {
	start := w.Offset()
	defer w.Seek(start)
	found = -1
	look := func(matches bool) *Error {
		if matches && found < 0 {
			found = w.Offset()
		}
		w.Skip()
		return nil
	}
	switch kind := w.Kind(); step := step.(type) {
	case int:
		if kind == '[' {
			w.array(func(i int) *Error { return look(i == step) })
		}
	case string:
		if kind == '{' {
			w.object(func(name string, _ int) *Error { return look(name == step) })
		}
	}
	return found
}
