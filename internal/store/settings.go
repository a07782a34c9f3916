// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// ErrNoKey is about a shared store without a key.
var ErrNoKey = errors.New("a shared store needs a key to seal what is stored there: write 'key <secret>', the same for all gateways; make one with 'openssl rand -hex 32'")

// LacksKey reports whether the settings of a store, as JSON, are those of a shared one that
// names no key of its own. What an engine of another module needs is unknown here.
func LacksKey(settings json.RawMessage) bool {
	var named struct {
		Engine string   `json:"engine"`
		Keys   []string `json:"keys"`
	}
	isShared := json.Unmarshal(settings, &named) == nil && named.Engine != "embedded" && slices.Contains(Engines(), named.Engine)
	return isShared && len(named.Keys) == 0
}

// Engines are the modules of the namespace `gluu.store` that come with the gateway.
func Engines() []string { return []string{"embedded", "postgres", "redis"} }

// UnknownEngine is about a module that does not exist.
func UnknownEngine(option, name string) error {
	return errors.New(option + " has no engine \"" + name + "\": write one of " + strings.Join(Engines(), ", "))
}
