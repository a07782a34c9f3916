// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// SignFunc signs claims for a header of the format jwt, in the way of a
// phantom token.
type SignFunc func(claims map[string]any) (string, error)

// Problem is why a header was not sent. It never contains the value.
type Problem struct {
	// Header is the configured name.
	Header string
	Err    error
}

func (p *Problem) Error() string { return "header '" + p.Header + "' was not sent: " + p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

const (
	// maxValue is the largest value that is sent, in bytes. Servers bound a
	// header line, or all of them together, and refuse the request.
	maxValue = 8 << 10

	// maxKeys is how many headers an iterated object may set.
	maxKeys = 100
)

var (
	errControl = errors.New("the value contains control characters or is not valid UTF-8")
	// HTTP drops such spaces (RFC 9110, section 5.5): "admin " would be "admin".
	errSpace     = errors.New("the value begins or ends with a space")
	errTooLong   = fmt.Errorf("the value is longer than %d bytes", maxValue)
	errKey       = errors.New("a key cannot stand in the name of a header")
	errCollision = errors.New("two keys make the same name")
	errTooMany   = fmt.Errorf("the object has more than %d members", maxKeys)
	errNoObject  = errors.New("only an object has members to set headers for")
)

// reported remembers which kinds of problems were returned before. A problem is
// in the configuration or in what an authorization server issues, and the next
// million tokens have it too: it belongs in a log once.
type reported struct{ kinds [len(kinds) + 1]atomic.Bool }

var kinds = [...]error{errControl, errSpace, errTooLong, errKey, errCollision, errTooMany, errNoObject, errTooCostly}

func (r *reported) first(err error) bool {
	kind := slices.IndexFunc(kinds[:], func(k error) bool { return errors.Is(err, k) })
	if kind < 0 {
		kind = len(kinds)
	}
	return !r.kinds[kind].Swap(true)
}

// Render returns the headers for the values of the variables, each a JSON value
// with numbers as json.Number, an object as map[string]any; nil means that it
// is missing. A header without a value is left out, and so is one whose value
// cannot be sent. Each kind of problem of each header is returned once in the
// life of the set.
//
// No two lines have names that an upstream could take for one: a header set by
// name has precedence over one made from an object's key.
func (s *Set) Render(vars map[string]any, sign SignFunc) (lines []Line, problems []*Problem) {
	taken := make(map[string]struct{}, len(s.headers))
	for _, h := range s.headers {
		rendered, errs := h.render(vars, sign)
		for _, err := range errs {
			if h.reported.first(err) {
				problems = append(problems, &Problem{h.name, err})
			}
		}
		for _, line := range rendered {
			folded := Fold(line.Name)
			if _, ok := taken[folded]; !ok {
				taken[folded] = struct{}{}
				lines = append(lines, line)
			}
		}
	}
	return lines, problems
}

// Render is Set.Render for one header.
func (h *Header) Render(vars map[string]any, sign SignFunc) ([]Line, []*Problem) {
	return (&Set{headers: []*Header{h}}).Render(vars, sign)
}

func (h *Header) render(vars map[string]any, sign SignFunc) ([]Line, []error) {
	result, err := h.expression.eval(vars)
	if err == nil {
		var value any
		if value, err = native(result, 0); err == nil {
			if h.iterate {
				return h.renderEach(value, sign)
			}
			var line Line
			if line, err = h.line(h.name, value, sign); err == nil {
				return []Line{line}, nil
			}
		}
	}
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	return nil, []error{err}
}

// line writes one header.
func (h *Header) line(name string, value any, sign SignFunc) (Line, error) {
	if value == nil {
		return Line{}, errMissing
	}
	written, err := h.write(value, sign)
	if err == nil {
		err = unsendable(written)
	}
	if err != nil {
		return Line{}, err
	}
	return Line{name, written}, nil
}

// renderEach writes one header for each member of an object. The keys come with
// the token. They must not form a name that the gateway sets otherwise, nor may
// two of them form the same name: the author of the keys would choose which one
// wins.
func (h *Header) renderEach(value any, sign SignFunc) (lines []Line, errs []error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, []error{errNoObject}
	}
	if len(object) > maxKeys {
		return nil, []error{errTooMany}
	}
	names := make(map[string]int, len(object))
	for key := range object {
		if name, ok := keyedName(h.name, key); ok {
			names[Fold(name)]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		name, ok := keyedName(h.name, key)
		if !ok {
			errs = append(errs, errKey)
			continue
		}
		if names[Fold(name)] > 1 {
			errs = append(errs, errCollision)
			continue
		}
		line, err := h.line(name, object[key], sign)
		if err == nil {
			lines = append(lines, line)
		} else if !errors.Is(err, errMissing) {
			errs = append(errs, err)
		}
	}
	return lines, errs
}
