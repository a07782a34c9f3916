// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/storagelock"
)

// The gateway's own signing keys live in Caddy's storage. What was read from
// there is kept in memory across reloads, so that a short outage of the storage
// has no effect.

// signingMemories holds the keys of each storage that a configuration uses.
var signingMemories = caddy.NewUsagePool()

type signingMemory struct {
	headers.Memory
	storage string
}

// Destruct implements caddy.Destructor.
func (m *signingMemory) Destruct() error { return nil }

func (m *signingMemory) release() error {
	_, err := signingMemories.Delete(m.storage)
	return err
}

func (a *App) provisionSigner(storage certmagic.Storage) error {
	keyFile, err := directive.Resolve(a.SigningKey)
	if err != nil {
		return fmt.Errorf("signing_key: %w", err)
	}
	issuer, err := directive.Resolve(a.SigningIssuer)
	if err != nil {
		return fmt.Errorf("signing_issuer: %w", err)
	}
	name := storagelock.NameOf(storage)
	shared, _, err := signingMemories.LoadOrNew(name, func() (caddy.Destructor, error) {
		return &signingMemory{storage: name}, nil
	})
	if err != nil {
		return err
	}
	memory := shared.(*signingMemory)
	a.releases = append(a.releases, memory.release)
	a.signer, err = headers.NewSigner(headers.SignerConfig{
		Storage:     storage,
		KeyFile:     keyFile,
		Issuer:      issuer,
		RotateEvery: time.Duration(a.SigningRotation),
		Memory:      &memory.Memory,
		Logger:      a.logger.Named("signing"),
	})
	return err
}

// Signer returns the gateway's own key, for phantom tokens and headers.
func (a *App) Signer() *headers.Signer { return a.signer }
