// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"encoding/json"
	"reflect"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// Snapshot is the configuration of the HTTP app, as it was loaded.
type Snapshot struct {
	raw  json.RawMessage
	made sync.Once
	all  *Map
	err  error
}

// Read returns the configuration of the HTTP app that is being loaded, nil if there
// is none. It is called while an app is provisioned.
//
// Caddy has no function for this. It keeps the text of each app until that app is
// provisioned, in a field that package reflect reads; a handler of the HTTP app that
// needs another app has that one provisioned first. If a later Caddy keeps it
// elsewhere, there is no snapshot, which the pages and the admin API say.
func Read(ctx caddy.Context) *Snapshot {
	config := reflect.Indirect(reflect.ValueOf(ctx).FieldByName("cfg"))
	if config.Kind() != reflect.Struct {
		return nil
	}
	apps := config.FieldByName("AppsRaw")
	if apps.Kind() != reflect.Map || apps.Type() != reflect.TypeFor[caddy.ModuleMap]() {
		return nil
	}
	raw := apps.MapIndex(reflect.ValueOf("http"))
	if !raw.IsValid() || raw.Len() == 0 {
		return nil
	}
	return &Snapshot{raw: raw.Bytes()}
}

// New returns the snapshot of a configuration of the HTTP app.
func New(raw json.RawMessage) *Snapshot { return &Snapshot{raw: raw} }

// Map returns what the configuration has.
func (s *Snapshot) Map() (*Map, error) {
	s.made.Do(func() { s.all, s.err = newMap(s.raw) })
	return s.all, s.err
}
