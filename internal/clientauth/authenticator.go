// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/jose"
)

// Credentials are a client id and a secret as they were sent.
type Credentials struct{ ID, Secret string }

// Reasons why a client is not authenticated.
const (
	reasonUnknownClient = "unknown_client"
	reasonWrongSecret   = "wrong_secret"
	reasonWrongMethod   = "wrong_client_authentication"
	reasonAssertion     = "assertion_invalid"
	reasonReplayed      = "assertion_replayed"
)

// Authenticator decides who a client is.
type Authenticator struct {
	// Find returns the client of an id, or authcore.ErrNotFound.
	Find func(ctx context.Context, id string) (*authcore.Client, error)

	Verifier *Verifier

	// Decoys are secrets to check in the place of those of clients that do not
	// exist, so that these take as long.
	Decoys []*Secret

	// Of assertions: the audiences that they may name, the keys of a client, and
	// what remembers their jti until a time (authcore.ErrExists: it was used).
	Audiences []string
	Keys      func(context.Context, *authcore.Client) (jose.KeySet, error)
	UseOnce   func(ctx context.Context, clientID, jti string, until time.Time) error

	Now func() time.Time
}

// Secret authenticates a client by its secret. There may be several ways to read what it
// sent. A client that does not exist is refused in the same words, and after the same
// time, as one with a wrong secret. The error is a *authcore.Fault, ErrBusy, or says that
// the store could not be asked.
func (a *Authenticator) Secret(ctx context.Context, method, connection string, sent ...Credentials) (*authcore.Client, error) {
	reason := reasonUnknownClient
	for _, credentials := range sent {
		client, err := a.Find(ctx, credentials.ID)
		if err != nil && !errors.Is(err, authcore.ErrNotFound) {
			return nil, err
		}
		if client != nil && reason == reasonUnknownClient {
			reason = reasonWrongSecret
		}
		if client != nil && !acceptsMethod(client, method) {
			reason, client = reasonWrongMethod, nil
		}
		right, err := a.check(ctx, client, connection, credentials)
		if err != nil {
			return nil, err
		}
		if right {
			return client, nil
		}
	}
	return nil, failed(reason)
}

// Remembers reports whether the secret of a client was sent, and found right, before. It
// costs nothing.
func (a *Authenticator) Remembers(ctx context.Context, sent ...Credentials) bool {
	for _, credentials := range sent {
		client, err := a.Find(ctx, credentials.ID)
		if err != nil || len(credentials.Secret) > MaxSecret {
			continue
		}
		for _, text := range client.ValidSecrets(a.Now()) {
			if a.Verifier.remembers(&Secret{text: text}, a.Verifier.mac(text, credentials.Secret)) {
				return true
			}
		}
	}
	return false
}

// failed is the fault of a client that is not authenticated. All have the same text.
func failed(reason string) *authcore.Fault {
	return &authcore.Fault{Code: authcore.InvalidClient, Reason: reason, Description: "client authentication failed"}
}

// acceptsMethod reports whether a client may authenticate in a way: the registered one
// alone.
func acceptsMethod(c *authcore.Client, method string) bool {
	if c.Public {
		return false
	}
	return c.Auth == method || c.Auth == "" && (method == authcore.AuthBasic || method == authcore.AuthPost)
}

func (a *Authenticator) check(ctx context.Context, client *authcore.Client, connection string, sent Credentials) (bool, error) {
	if len(sent.Secret) > MaxSecret {
		return false, nil
	}
	by := Asker{flow{"", clientlimit.NetworkOf(ctx)}, connection}
	if client == nil {
		return false, a.pretend(ctx, by, sent)
	}
	by.client = client.ClientID
	for _, text := range client.ValidSecrets(a.Now()) {
		hash, err := Parse(text)
		if err != nil {
			return false, err
		}
		if right, err := a.Verifier.Verify(ctx, by, hash, sent.Secret); right || err != nil {
			return right, err
		}
	}
	return false, nil
}

func (a *Authenticator) pretend(ctx context.Context, by Asker, sent Credentials) error {
	if len(a.Decoys) == 0 {
		return nil
	}
	return a.Verifier.Pretend(ctx, by, a.Decoys[a.Verifier.choose(sent.ID, len(a.Decoys))], sent.Secret)
}

// Bearer reports whether a secret is one of those with these hashes: for keys that are not
// a client's, such as that of the login application. The name tells such keys apart.
func (v *Verifier) Bearer(ctx context.Context, name, connection string, hashes []*Secret, secret string) (bool, error) {
	if len(secret) > MaxSecret || secret == "" {
		return false, nil
	}
	by := Asker{flow{name, clientlimit.NetworkOf(ctx)}, connection}
	for _, hash := range hashes {
		if right, err := v.Verify(ctx, by, hash, secret); right || err != nil {
			return right, err
		}
	}
	return false, nil
}
