// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func init() {
	caddyconfig.RegisterAdapter("kong", Adapter{})
}

// Adapter turns a declarative file of Kong into Caddy's JSON. Settings of
// kong.conf are read from the variables of Kong's container, such as
// KONG_PROXY_LISTEN.
type Adapter struct {
	// Getenv returns a variable of the environment. Default: os.Getenv
	Getenv func(string) string
}

// Adapt implements [caddyconfig.Adapter].
func (a Adapter) Adapt(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	p := &problems{file: "kong.yml"}
	if name, ok := options["filename"].(string); ok && name != "" {
		p.file = filepath.Base(name)
	}
	root, err := parse(body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.file, withoutYAML(err))
	}
	getenv := a.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	f := readFile(root, readSettings(getenv, p), p)
	config := f.config()
	if err := p.err(); err != nil {
		return nil, nil, err
	}
	output, err := json.Marshal(config)
	return output, p.list(), err
}

// withoutYAML drops what the YAML library puts before its errors.
func withoutYAML(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "yaml: "); ok {
		return errors.New(text)
	}
	return err
}

// jsonNumber writes a number as it is.
func jsonNumber(text string) json.Number { return json.Number(text) }

// Interface guard
var _ caddyconfig.Adapter = Adapter{}
