// SPDX-License-Identifier: Apache-2.0

package storagelock

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/certmagic"
)

// NameOf names a storage so that it has the same name in the next
// configuration, although Caddy makes a new value for it: by what it says of
// itself, else by its settings. A storage that has neither is known by its value
// alone, and is another one after a reload.
//
// Two storages may wrongly share a name. What is kept by name must therefore be
// compared with what the storage holds before it is used.
func NameOf(storage certmagic.Storage) string {
	if named, ok := storage.(fmt.Stringer); ok {
		return fmt.Sprintf("%T %s", storage, named)
	}
	settings, err := json.Marshal(storage)
	if err != nil || string(settings) == "{}" {
		return fmt.Sprintf("%T %p", storage, storage)
	}
	return fmt.Sprintf("%T %s", storage, settings)
}
