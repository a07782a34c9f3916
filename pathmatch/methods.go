// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "strings"

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

// knownMethods are the methods that servers implement: those of the IANA
// registry and of PURGE, which caches have.
var knownMethods = func() map[string]bool {
	all := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY
		MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PURGE
		PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF
		VERSION-CONTROL`) {
		all[name] = true
	}
	return all
}()

// Folded returns the known method that a request's method becomes at an upstream
// that ignores its case, "" if there is none. Django, Flask and Symfony take
// "delete" for DELETE; to rules, which are case-sensitive, it is another method.
// Known are the methods of the rules and those that servers implement.
func (t *Tree[V]) Folded(method string) string {
	if !hasLower(method) {
		return ""
	}
	upper := strings.ToUpper(method)
	if id, _ := t.methods.find(upper); id != noMethod || knownMethods[upper] {
		return upper
	}
	return ""
}

// FoldedMethod is Folded for a handler without rules: known are the methods that
// servers implement.
func FoldedMethod(method string) string {
	if !hasLower(method) {
		return ""
	}
	if upper := strings.ToUpper(method); knownMethods[upper] {
		return upper
	}
	return ""
}

func hasLower(s string) bool {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' {
			return true
		}
	}
	return false
}
