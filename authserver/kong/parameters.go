// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

const (
	maxBody     = 64 << 10 // the size that a request can have
	bodyTimeout = 10 * time.Second
)

// parameters are those of a request, of the body and the URL together. A value that is not
// one text (a list, a number, null) is there and is not a text.
type parameters struct {
	texts map[string]string
	other map[string]string // as JSON

	repeated bool
}

// isRepeated reports whether a parameter is there more than once in one place.
func (p *parameters) isRepeated() bool { return p.repeated }

// secrets are the parameters that do not belong into a URL, since URLs are logged. The
// provision key and the user that it vouches for are never read from there, the others
// if the configuration says so.
var secrets = []string{"client_secret", "code", "refresh_token", "code_verifier"}

var neverInURL = []string{"provision_key", "authenticated_userid"}

// readParameters reads the URL and the body. Of a parameter in both places the body counts.
// A body that cannot be read is as good as none.
func readParameters(w http.ResponseWriter, r *http.Request, secretsInURL bool) (*parameters, error) {
	p := &parameters{texts: make(map[string]string), other: make(map[string]string)}
	p.addForm(readForm(r.URL.RawQuery))
	p.addFlags(r.URL.RawQuery)
	leaveOut := neverInURL
	if !secretsInURL {
		leaveOut = append(slices.Clip(leaveOut), secrets...)
	}
	for _, name := range leaveOut {
		p.remove(name)
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	p.addBody(r.Header.Get("Content-Type"), body)
	return p, nil
}

// readBody reads the body for no longer than bodyTimeout: one that trickles in would hold the
// connection for as long as its sender likes. Not every connection can be given a deadline;
// those that cannot have the server's.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, malformed("the body cannot be read")
	}
	return body, nil
}

func (p *parameters) addBody(contentType string, body []byte) {
	kind, _, _ := strings.Cut(contentType, ";") // as in Kong, what is wrong behind it is not asked about
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/x-www-form-urlencoded":
		p.addForm(readForm(string(body)))
		p.addFlags(string(body))
	case "multipart/form-data":
		_, params, err := mime.ParseMediaType(contentType)
		if err != nil {
			return
		}
		form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(maxBody)
		if err == nil {
			p.addForm(form.Value)
			_ = form.RemoveAll()
		}
	case "application/json":
		p.addJSON(body)
	}
}

// readForm reads the parameters of a URL or a form. As in nginx nothing is an error: a
// semicolon separates nothing, and a percent sign that begins no escape is itself.
func readForm(form string) url.Values {
	values := make(url.Values)
	for pair := range strings.SplitSeq(form, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			name = unescape(name)
			values[name] = append(values[name], unescape(value))
		}
	}
	return values
}

func unescape(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if b, err := hex.DecodeString(text[min(i+1, len(text)):min(i+3, len(text))]); c == '%' && err == nil && len(b) == 1 {
			c, i = b[0], i+2
		} else if c == '+' {
			c = ' '
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

func (p *parameters) addForm(form map[string][]string) {
	for name, values := range form {
		p.remove(name)
		if len(values) == 1 {
			p.texts[name] = values[0]
		} else {
			p.other[name], p.repeated = listOf(values), true
		}
	}
}

func listOf(values []string) string {
	text, _ := json.Marshal(values) // of strings it never fails
	return string(text)
}

// addFlags adds the parameters of a form that have no equals sign. They are true, as in
// Lua, and not a text.
func (p *parameters) addFlags(form string) {
	for pair := range strings.SplitSeq(form, "&") {
		name := unescape(pair)
		if strings.Contains(pair, "=") {
			continue
		}
		if text, isText := p.texts[name]; isText && text == "" {
			p.remove(name)
			p.other[name] = "true"
		}
	}
}

// dropEmpty leaves out the parameters without a value (RFC 6749 section 3.1).
func (p *parameters) dropEmpty() {
	for name, text := range p.texts {
		if text == "" {
			delete(p.texts, name)
		}
	}
	for name, value := range p.other {
		if value == "null" || value == "true" {
			delete(p.other, name)
		}
	}
}

// addJSON adds the members of an object. One that two readers could understand in two ways,
// such as with a member twice, is not read.
func (p *parameters) addJSON(body []byte) {
	members, err := strictjson.Object(body)
	if err != nil {
		return
	}
	for _, member := range members {
		p.remove(member.Name)
		if !strings.HasPrefix(member.Value, `"`) {
			p.other[member.Name] = member.Value
		} else if text, err := strictjson.Unquote(member.Value); err == nil {
			p.texts[member.Name] = text
		}
	}
}

func (p *parameters) remove(name string) {
	delete(p.texts, name)
	delete(p.other, name)
}

// text returns a parameter, "" if it is missing or not a text.
func (p *parameters) text(name string) string { return p.texts[name] }

// has reports whether a parameter is there, as a text or not.
func (p *parameters) has(name string) bool {
	_, text := p.texts[name]
	_, other := p.other[name]
	return text || other
}

// isGiven is has, but not for what is false, which Lua takes for left out where it asks
// for a value and not for a type.
func (p *parameters) isGiven(name string) bool { return p.has(name) && p.other[name] != "false" }

// shown returns a parameter as Kong writes it into a URI, and whether it does: a text, a
// number, true or false.
func (p *parameters) shown(name string) (text string, ok bool) {
	if p.isText(name) {
		return p.texts[name], true
	}
	value := p.other[name]
	isScalar := value != "" && value != "null" && value[0] != '[' && value[0] != '{'
	return value, isScalar
}

// list returns the texts of a parameter that is a list of texts.
func (p *parameters) list(name string) (texts []string) {
	if !strings.HasPrefix(p.other[name], "[") || json.Unmarshal([]byte(p.other[name]), &texts) != nil {
		return nil
	}
	return texts
}

// isText reports whether a parameter is there as a text.
func (p *parameters) isText(name string) bool {
	_, text := p.texts[name]
	return text
}

// isBlank reports whether a parameter is missing, not a text, or consists of white space.
func (p *parameters) isBlank(name string) bool { return strings.TrimSpace(p.texts[name]) == "" }
