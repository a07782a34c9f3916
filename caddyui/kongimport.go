// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-gluu/gateway/internal/redact"
)

// importKong shows what the running configuration would be with that of a declarative
// file of Kong added to it. Nothing is loaded.
func importKong(v *visit) error {
	from, err := v.config.read(v.r.Context())
	if err != nil {
		return &fault{Status: http.StatusBadGateway, Title: "Configuration", Text: sentence(err.Error())}
	}
	if v.config.file != "" {
		return unfit(errors.New("a file of Kong is imported into a configuration in JSON, and this one is a Caddyfile: convert it with 'caddy adapt --adapter kong'"))
	}
	adapter := caddyconfig.GetAdapter("kong")
	if adapter == nil {
		return unfit(errors.New("this build has no adapter for Kong's files"))
	}
	shown, err := v.config.show(from.text)
	if err != nil {
		return err
	}
	page := &configurationPage{Text: shown.Text, Base: from.id()}
	file := v.r.PostForm.Get("kong")
	if redact.HasMarker(file) {
		return unfit(errors.New("the file has the marker of a hidden secret, and that stands for a secret of the running configuration, not of this file: write the value"))
	}
	config, warnings, err := adapter.Adapt([]byte(file), nil)
	page.Warnings = warningTexts(warnings)
	if err == nil {
		page.Text, err = addTo(shown.Text, config)
	}
	if err != nil {
		page.Problem = "The file was not imported. " + sentence(err.Error())
		return v.showConfigurationPage(http.StatusBadRequest, page)
	}
	c, err := v.prepare(page, from)
	if err != nil {
		page.Problem = sentence(err.Error())
		return v.showConfigurationPage(http.StatusBadRequest, page)
	}
	page.IsReview = true
	if page.Diff, err = v.diff(from.text, c.text); err != nil {
		return err
	}
	return v.showConfigurationPage(http.StatusOK, page)
}

// addTo adds a configuration to another one. What both have and is not the same in
// both is an error, so that nothing is replaced.
func addTo(text string, added []byte) (string, error) {
	var into, from map[string]any
	if err := errors.Join(decode([]byte(text), &into), decode(added, &from)); err != nil {
		return "", err
	}
	delete(from, "admin") // the pages work through this one's
	var conflicts []string
	merge(into, from, "", &conflicts)
	if len(conflicts) > 0 {
		slices.Sort(conflicts)
		return "", fmt.Errorf("the running configuration has other values for %s", strings.Join(conflicts, ", "))
	}
	result, err := redact.Indent(into)
	return string(result), err
}

// decode reads JSON without rounding its numbers.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func merge(into, from map[string]any, path string, conflicts *[]string) {
	for name, value := range from {
		present, ok := into[name]
		a, isObject := present.(map[string]any)
		b, isObjectToo := value.(map[string]any)
		switch {
		case !ok:
			into[name] = value
		case isObject && isObjectToo:
			merge(a, b, path+"/"+name, conflicts)
		case !reflect.DeepEqual(present, value):
			*conflicts = append(*conflicts, path+"/"+name)
		}
	}
}
