// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// shortest is the shortest duration that an option can sensibly have.
const shortest = time.Millisecond

// TinyDurations returns the JSON names of the durations in a configuration that
// are too short to be meant. In JSON a number without a unit is one of
// nanoseconds: `"timeout": 5` ends each call before it has begun.
func TinyDurations(config any) []string {
	return tinyDurations(reflect.ValueOf(config), "")
}

func tinyDurations(v reflect.Value, name string) (names []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return tinyDurations(v.Elem(), name)
		}
	case reflect.Int64:
		if d, ok := reflect.TypeAssert[caddy.Duration](v); ok && d > 0 && time.Duration(d) < shortest {
			return []string{name}
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if !field.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			names = append(names, tinyDurations(value, name)...)
		}
	}
	return names
}
