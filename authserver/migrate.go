// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// Before there was a store, tokens were in buckets of their own in the same file:
//
//	tokens   ID                  -> the token as JSON
//	expiry   expiry (8 bytes) ID -> whose token it is
//	meta     format              -> 1
//
// They become records of the store, and only when all have, the buckets are deleted. A
// process that is killed in between begins anew with the next start, which writes the
// same records again.
var legacyBuckets = []string{"tokens", "expiry", "meta"}

// migrationBatch is how many tokens are taken over at a time.
const migrationBatch = 50

// legacyToken is a token as the buckets have it.
type legacyToken struct {
	Issuer    string   `json:"issuer"`
	ClientID  string   `json:"client_id"`
	Subject   string   `json:"sub,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	Revoked   bool     `json:"revoked,omitempty"`
}

// migrate takes over the tokens of a file that an older version has written.
func migrate(file *embedded.Engine, records *store.Store, logger *zap.Logger) error {
	if is, err := isLegacy(file); err != nil || !is {
		return err
	}
	core := authcore.New(records, time.Now)
	var after []byte
	total := 0
	for {
		page, err := legacyPage(file, after)
		if err != nil {
			return fmt.Errorf("reading the tokens of an older version: %w", err)
		}
		if len(page) == 0 {
			break
		}
		if err := core.TakeOver(context.Background(), page); err != nil {
			return fmt.Errorf("taking over the tokens of an older version: %w", err)
		}
		total += len(page)
		after = page[len(page)-1].ID[:]
	}
	if err := file.Transaction(true, deleteLegacy); err != nil {
		return fmt.Errorf("deleting the tokens of an older version: %w", err)
	}
	logger.Info("the token storage has the format of this version now", zap.Int("tokens", total))
	return nil
}

// isLegacy reports whether a file has such buckets, in a format that is known.
func isLegacy(file *embedded.Engine) (is bool, err error) {
	err = file.Transaction(false, func(tx *bbolt.Tx) error {
		is = tx.Bucket([]byte("tokens")) != nil
		if meta := tx.Bucket([]byte("meta")); is && meta != nil {
			if format := meta.Get([]byte("format")); string(format) != "1" {
				return fmt.Errorf("the tokens in the file have the format %q, this version of the gateway reads %q", format, "1")
			}
		}
		return nil
	})
	return is, err
}

// legacyPage returns the tokens after a key.
func legacyPage(file *embedded.Engine, after []byte) (page []*authcore.AccessToken, err error) {
	err = file.Transaction(false, func(tx *bbolt.Tx) error {
		cursor := tx.Bucket([]byte("tokens")).Cursor()
		key, value := cursor.Seek(after)
		if after != nil && string(key) == string(after) {
			key, value = cursor.Next()
		}
		for ; key != nil && len(page) < migrationBatch; key, value = cursor.Next() {
			token, err := decodeLegacy(key, value)
			if err != nil {
				return err
			}
			page = append(page, token)
		}
		return nil
	})
	return page, err
}

func decodeLegacy(key, value []byte) (*authcore.AccessToken, error) {
	var t legacyToken
	if err := json.Unmarshal(value, &t); err != nil {
		return nil, err
	}
	token := &authcore.AccessToken{
		Issuer: t.Issuer, ClientID: t.ClientID, Subject: t.Subject, Scopes: t.Scopes,
		IssuedAt: time.Unix(t.IssuedAt, 0), ExpiresAt: time.Unix(t.ExpiresAt, 0), Revoked: t.Revoked, JWT: t.Revoked,
	}
	if copy(token.ID[:], key) != len(token.ID) || len(key) != len(token.ID) {
		return nil, errors.New("the file is damaged: a token has a key of another length")
	}
	return token, nil
}

func deleteLegacy(tx *bbolt.Tx) error {
	for _, name := range legacyBuckets {
		if err := tx.DeleteBucket([]byte(name)); err != nil && tx.Bucket([]byte(name)) != nil {
			return err
		}
	}
	return nil
}
