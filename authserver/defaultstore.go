// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// storeOwner is the app `gluu`, whose store is that of all that name none.
type storeOwner interface{ DefaultStore() json.RawMessage }

// setDefaultStore sets the store of a server that names none: the app's. If that is a
// file without a name, or there is none, it is the server's own file, so that what is in
// there since before the app had a store is not lost.
func (s *Server) setDefaultStore(ctx caddy.Context) error {
	settings, err := appStore(ctx)
	if err != nil {
		return err
	}
	if settings == nil {
		s.StorageRaw = json.RawMessage(`{"module": "embedded"}`)
		return nil
	}
	var named struct {
		Engine string `json:"engine"`
		Path   string `json:"path,omitempty"`
	}
	if err := json.Unmarshal(settings, &named); err != nil {
		return fmt.Errorf("the store of the app gluu: %w", err)
	}
	if named.Engine != "embedded" {
		s.StoreRaw = settings
		return nil
	}
	s.StorageRaw, err = json.Marshal(map[string]string{"module": named.Engine, "path": named.Path})
	return err
}

// appStore returns the settings of the app's store, nil if there are none.
func appStore(ctx caddy.Context) (json.RawMessage, error) {
	app, err := ctx.AppIfConfigured("gluu")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	owner, ok := app.(storeOwner)
	if !ok {
		return nil, fmt.Errorf("the app gluu is a %T, which has no store", app)
	}
	return owner.DefaultStore(), nil
}
