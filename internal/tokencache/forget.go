// SPDX-License-Identifier: Apache-2.0

package tokencache

import "github.com/caddy-gluu/gateway/internal/token"

// Selection says which tokens to forget.
type Selection struct {
	kind  selectionKind
	value string
}

// selectionKind is stored in Redis: the numbers must not change.
type selectionKind int

const (
	allTokens selectionKind = iota
	tokensOfClient
	tokensOfSubject
	oneToken
)

// All selects all tokens.
func All() Selection { return Selection{kind: allTokens} }

// OfClient selects the tokens of an OAuth client.
func OfClient(id string) Selection { return Selection{tokensOfClient, id} }

// OfSubject selects the tokens of a subject.
func OfSubject(subject string) Selection { return Selection{tokensOfSubject, subject} }

// One selects one token, as it was sent.
func One(raw string) Selection { return Selection{oneToken, raw} }

func (s Selection) matches(t *token.Token) bool {
	switch s.kind {
	case allTokens:
		return true
	case tokensOfClient:
		return t.ClientID == s.value
	case tokensOfSubject:
		return t.Subject == s.value
	}
	return false
}

// isRevoked is matches for a token that is in use, of which it is known what was
// sent.
func (s Selection) isRevoked(t *token.Token, raw string) bool {
	if s.kind == oneToken {
		return raw != "" && raw == s.value
	}
	return s.matches(t)
}

// forget forgets tokens of this process. For one token these are its keys.
// Otherwise all entries are compared: revocations are rare, and an index would
// cost memory for each token.
func (c *Cache) forget(what Selection, keys []Key) (forgotten int) {
	c.newEpoch()
	switch what.kind {
	case oneToken:
		for _, key := range keys {
			if _, was := c.positive.Invalidate(key); was {
				forgotten++
			}
			c.negative.Invalidate(key)
		}
	case allTokens:
		forgotten = c.positive.EstimatedSize()
		c.positive.InvalidateAll()
		c.negative.InvalidateAll()
	default:
		for key, e := range c.positive.All() {
			if what.matches(e.token) {
				c.positive.Invalidate(key)
				forgotten++
			}
		}
	}
	return forgotten
}

// forgetRevoked forgets what other gateways revoked, however much it is, in one
// pass. A token goes by the name that it has among gateways.
func (c *Cache) forgetRevoked(what []revocation) {
	removed := make(map[revocation]bool, len(what))
	for _, r := range what {
		switch r.Kind {
		case lostTrack:
			c.forget(All(), nil)
			return
		case allTokens:
			c.forget(All(), nil)
			c.tellRevoked(All().isRevoked)
			return
		}
		removed[r] = true
	}
	isRemoved := func(t *token.Token, _ string) bool {
		return removed[revocation{tokensOfClient, t.ClientID}] || removed[revocation{tokensOfSubject, t.Subject}] ||
			removed[revocation{oneToken, string(t.SharedName[:])}]
	}
	c.newEpoch()
	for key, e := range c.positive.All() {
		if isRemoved(e.token, "") {
			c.positive.Invalidate(key)
		}
	}
	c.tellRevoked(isRemoved)
}

// newEpoch makes the outcome of every verification under way one that is not
// kept. When it returns, everything that was kept before can be found and
// forgotten.
func (c *Cache) newEpoch() {
	c.epochMu.Lock()
	c.epoch++
	c.epochMu.Unlock()
}
