// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

const maxOAuthBody = 64 << 10

// members are those of an object in a body. An absent one is not the same as null.
type members map[string]json.RawMessage

// readMembers reads the object in a body: JSON, or with allowForm also a form, as Kong's
// tutorials send it. A browser sends JSON to another origin only after asking.
func readMembers(w http.ResponseWriter, r *http.Request, allowForm bool) (members, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isForm := allowForm && kind == "application/x-www-form-urlencoded"
	if err != nil || kind != "application/json" && !isForm {
		return nil, simpleFault(http.StatusUnsupportedMediaType, "the body is JSON: send 'Content-Type: application/json'")
	}
	if isForm && isFromPage(r) {
		return nil, simpleFault(http.StatusForbidden, "a form that a web page sends is not accepted: send JSON")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOAuthBody))
	if err != nil {
		return nil, simpleFault(http.StatusRequestEntityTooLarge, "the body has at most %d bytes", maxOAuthBody)
	}
	if isForm {
		return parseFormMembers(string(body))
	}
	return parseMembers(body)
}

// isFromPage reports whether a browser sends a request for a page. A form needs no leave to
// be sent to another origin, so a page anywhere could create clients.
func isFromPage(r *http.Request) bool {
	_, hasOrigin := r.Header["Origin"]
	_, hasSite := r.Header["Sec-Fetch-Site"]
	return hasOrigin || hasSite
}

func parseMembers(body []byte) (members, error) {
	list, err := strictjson.Object(body)
	if err != nil {
		return nil, simpleFault(http.StatusBadRequest, "Cannot parse JSON body: %v", err)
	}
	m := make(members, len(list))
	for _, member := range list {
		m[member.Name] = json.RawMessage(member.Value)
	}
	return m, nil
}

// listMember is how Kong's clients write an element of a list in a form.
var listMember = regexp.MustCompile(`^(\w+)\[\d*\]$`)

// parseFormMembers reads a form: `redirect_uris[]=...` and `redirect_uris=...` are lists,
// `consumer.id=...` is a member of an object.
func parseFormMembers(body string) (members, error) {
	form, err := url.ParseQuery(body)
	if err != nil || !utf8.ValidString(body) {
		return nil, simpleFault(http.StatusBadRequest, "the body is not a form")
	}
	lists, objects, m := map[string][]string{}, map[string]map[string]string{}, make(members)
	for name, values := range form {
		found := listMember.FindStringSubmatch(name)
		object, member, dotted := strings.Cut(name, ".")
		switch {
		case found != nil:
			lists[found[1]] = append(lists[found[1]], values...)
		case isListMember[name]:
			lists[name] = append(lists[name], values...)
		case len(values) > 1:
			return nil, invalidMember(name, "is there more than once")
		case dotted:
			if objects[object] == nil {
				objects[object] = map[string]string{}
			}
			objects[object][member] = values[0]
		case values[0] == "true", values[0] == "false", isNumberMember[name]:
			m[name] = json.RawMessage(values[0])
		default:
			m[name], _ = json.Marshal(values[0])
		}
	}
	for name, list := range lists {
		m[name], _ = json.Marshal(list)
	}
	for name, object := range objects {
		m[name], _ = json.Marshal(object)
	}
	for _, value := range m {
		if !json.Valid(value) {
			return nil, simpleFault(http.StatusBadRequest, "a number of the form is not one")
		}
	}
	return m, nil
}

var (
	isListMember   = map[string]bool{"redirect_uris": true, "tags": true, "grants": true, "scopes": true, "resources": true}
	isNumberMember = map[string]bool{"expires_in": true, "created_at": true}
)

// reader decodes members into fields and collects what is wrong with them.
type reader struct {
	members members
	wrong   violations
}

func newReader(m members) *reader { return &reader{m, violations{}} }

// allow refuses members of other names than these.
func (r *reader) allow(names ...string) {
	known := make(map[string]bool)
	for _, name := range names {
		known[name] = true
	}
	for name := range r.members {
		if !known[name] {
			r.wrong[name] = "unknown field"
		}
	}
}

// has reports whether a member is there, null included.
func (r *reader) has(name string) bool { _, ok := r.members[name]; return ok }

func (r *reader) isNull(name string) bool { return string(r.members[name]) == "null" }

// text reads a text into a field. null empties it, an absent member leaves it.
func (r *reader) text(name string, field *string) {
	if r.isNull(name) {
		*field = ""
	} else if r.has(name) && r.decode(name, field, "expected a string") {
		r.checkText(name, *field)
	}
}

func (r *reader) checkText(name, text string) {
	if len(text) > 2048 || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError }) {
		r.wrong[name] = "is too long or contains a control character"
	}
}

func (r *reader) texts(name string, field *[]string) {
	if r.isNull(name) {
		*field = nil
		return
	}
	if !r.has(name) {
		return
	}
	var elements []json.RawMessage
	if !r.decode(name, &elements, "expected an array") {
		return
	}
	list, wrong := make([]string, len(elements)), []any(nil)
	for i, element := range elements {
		if json.Unmarshal(element, &list[i]) != nil || string(element) == "null" {
			wrong = append(append(wrong, make([]any, i-len(wrong))...), "expected a string")
		}
	}
	if wrong != nil {
		r.wrong[name] = wrong
		return
	}
	if len(list) > 256 {
		r.wrong[name] = "has more than 256 elements"
	}
	*field = list
	seen := make(map[string]bool)
	for _, text := range list {
		if r.checkText(name, text); text == "" || seen[text] {
			r.wrong[name] = "has an element that is empty or there twice"
		}
		seen[text] = true
	}
}

func (r *reader) flag(name string, field *bool) {
	if r.has(name) && !r.isNull(name) {
		r.decode(name, field, "expected a boolean")
	}
}

// number reads a whole number that is not negative.
func (r *reader) number(name string, field *int64) {
	if !r.has(name) || r.isNull(name) {
		return
	}
	if r.decode(name, field, "expected an integer") && (*field < 0 || *field > 1<<40) {
		r.wrong[name] = "is out of range"
	}
}

func (r *reader) decode(name string, field any, expected string) bool {
	err := json.Unmarshal(r.members[name], field)
	if err != nil {
		r.wrong[name] = expected
	}
	return err == nil
}

// refuse says what is wrong with a member of the right type. A member of a wrong type has no
// value that could be judged.
func (r *reader) refuse(name string, why any) {
	if r.wrong[name] == nil {
		r.wrong[name] = why
	}
}

// reference reads {"id": "..."} or another key; a text is an id.
func (r *reader) reference(name string, keys ...string) (key, value string) {
	if !r.has(name) || r.isNull(name) {
		return "", ""
	}
	var id string
	if json.Unmarshal(r.members[name], &id) == nil {
		return keys[0], id
	}
	object, err := strictjson.Object(r.members[name])
	if err == nil && len(object) == 1 {
		for _, known := range keys {
			if object[0].Name == known && json.Unmarshal([]byte(object[0].Value), &value) == nil {
				return known, value
			}
		}
	}
	r.wrong[name] = "expected an object with " + strings.Join(keys, " or ")
	return "", ""
}

// err returns what is wrong, nil if nothing.
func (r *reader) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	return r.wrong.fault()
}

var errNoServer = errors.New("the running configuration has no gluu_oauth_server")
