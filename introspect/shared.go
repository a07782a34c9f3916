// SPDX-License-Identifier: Apache-2.0

package introspect

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
func answerDigest(name string, c *provider.Config, clientID string) digest {
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

func (v *verifier) recordID(raw string) tokencache.RecordID {
	s := v.server
	return tokencache.RecordID{Settings: answerDigest(s.Name(), s.Config(), s.ClientID()), Token: raw}
}

// isShared reports whether gateways tell each other of this token. One whose
// signature says it all is verified in less time than it takes to ask.
func (p *Provider) isShared(sent *presented) bool {
	return p.cache.IsShared() && !p.verifier.verifiesLocally(sent)
}

// fromShared returns the token if another gateway has verified it and its
// finding still holds.
func (p *Provider) fromShared(ctx context.Context, sent *presented) (verified *token.Token, verifiedAt time.Time, since tokencache.Position) {
	if !p.isShared(sent) {
		return nil, time.Time{}, tokencache.Position{}
	}
	v := p.verifier
	verified, verifiedAt, since = p.cache.Fetch(ctx, v.recordID(sent.raw), v.server.Now())
	return verified, verifiedAt, since
}

// toShared tells the other gateways of a token.
func (p *Provider) toShared(ctx context.Context, sent *presented, since tokencache.Position, verified *token.Token, verifiedAt time.Time) {
	if p.isShared(sent) {
		p.cache.Share(ctx, p.verifier.recordID(sent.raw), since, verified, verifiedAt)
	}
}
