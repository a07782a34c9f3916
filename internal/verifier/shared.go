// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// answerDigest identifies what shapes the answers of a provider. Gateways that
// agree in this come to the same conclusion about a token; where their files are
// and how patient they are does not matter.
func answerDigest(name string, c *provider.Config, clientID string) [sha256.Size]byte {
	text, err := json.Marshal([]any{
		"v2", name, c.Issuer, clientID, c.Verify, c.Algorithms, c.Audience, c.ClientIDClaims, c.Grants,
		c.Issuers, c.Tenants, c.DiscoveryURL,
		c.IntrospectionEndpoint, c.JWKSURI, c.EndpointHosts, c.IntrospectionSigned,
	})
	if err != nil {
		panic(fmt.Sprintf("settings of provider %s: %v", name, err)) // strings and lists of them
	}
	return sha256.Sum256(text)
}

func (v *Verifier) recordID(raw string) tokencache.RecordID {
	s := v.server
	return tokencache.RecordID{Settings: answerDigest(s.Name(), s.Config(), s.ClientID()), Token: raw}
}

// isShared reports whether gateways tell each other of this token. One whose
// signature says it all is verified in less time than it takes to ask.
func (l *Lookup) isShared(sent *presented) bool {
	return l.cache.IsShared() && !l.verifiesLocally(sent)
}

// fromShared returns the token if another gateway has verified it and its
// finding still holds.
func (l *Lookup) fromShared(ctx context.Context, sent *presented) (verified *token.Token, verifiedAt time.Time, since tokencache.Position) {
	if !l.isShared(sent) {
		return nil, time.Time{}, tokencache.Position{}
	}
	verified, verifiedAt, since = l.cache.Fetch(ctx, l.recordID(sent.raw), l.server.Now())
	return verified, verifiedAt, since
}

// toShared tells the other gateways of a token.
func (l *Lookup) toShared(ctx context.Context, sent *presented, since tokencache.Position, verified *token.Token, verifiedAt time.Time) {
	if l.isShared(sent) {
		l.cache.Share(ctx, l.recordID(sent.raw), since, verified, verifiedAt)
	}
}
