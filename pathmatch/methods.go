// SPDX-License-Identifier: Apache-2.0

package pathmatch

// A methodID numbers the methods of a tree, so that rules compare numbers.
// Methods are case-sensitive (RFC 9110 section 9.1): "get" is an unknown method.
type methodID uint32

const (
	anyMethod methodID = 0
	noMethod           = ^methodID(0) // one without rules
)

// methods are the methods of a tree.
type methods struct {
	names []string // by number; Any is the first
}

// add returns the number of the method.
func (m *methods) add(method string) methodID {
	if m.names == nil {
		m.names = []string{Any}
	}
	for i, name := range m.names {
		if name == method {
			return methodID(i)
		}
	}
	m.names = append(m.names, method)
	return methodID(len(m.names) - 1)
}

// find returns the number of a request's method, and the number of the method
// to fall back to: HEAD is GET without the content (RFC 9110 section 9.3.2), so
// a rule that protects GET also protects HEAD.
func (m *methods) find(method string) (id, otherwise methodID) {
	id, otherwise = noMethod, noMethod
	for i, name := range m.names {
		switch {
		case name == method:
			id = methodID(i)
		case name == "GET" && method == "HEAD":
			otherwise = methodID(i)
		}
	}
	return id, otherwise
}
