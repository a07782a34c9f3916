// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// embeddedSettings are those that have a meaning for a server in this process.
var embeddedSettings = []string{"embedded", "issuer", "service", "audience", "dpop_nonce", "timeout"}

// checkEmbedded refuses settings that would have no effect.
func (c *Config) checkEmbedded() error {
	v := reflect.ValueOf(*c)
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !value.IsZero() && !slices.Contains(embeddedSettings, name) {
			return wrong(name, fmt.Errorf("%s has no effect: the embedded server is asked within this process; remove it", name))
		}
	}
	return nil
}
