// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
)

// A form that is submitted after the session has ended comes back as a GET,
// without its body. The restorer keeps the body on the server while the person
// logs in, and makes the request again what it was.
//
// What keeps this from becoming a way to send requests in another's name: only
// forms of this site are kept (a cross-site one is refused, whatever the
// session), the kept request is tied to the attempt and thereby to the browser,
// and it comes back once, in the session that the login made, at exactly its
// address, before any rule is judged.

const (
	restoreSeconds = 60
	restorePurpose = "kept request"

	maxKeptOfClient = 10
	maxKeptBytes    = 32 << 20
)

var (
	errBodyTooLarge = errors.New("the body is too large to be kept")
	errTooManyKept  = errors.New("too many bodies are kept")
)

// keptRequest is a request that waits for the login of its sender.
type keptRequest struct {
	Method   string `json:"method"`
	URL      string `json:"url"` // path and query, as returnTo writes them
	Type     string `json:"type,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Body     []byte `json:"body"`
}

// keeper stores sealed bytes for a while. Taking them removes them.
type keeper interface {
	Keep(ctx context.Context, id string, sealed []byte, expires time.Time) error
	Take(ctx context.Context, id string) ([]byte, error)
}

type restorer struct {
	keeper  keeper
	sealer  *seal.Sealer
	maxBody int64
	now     func() time.Time

	mu    sync.Mutex
	kept  map[string][]keptBody // by client
	bytes int64
}

// keptBody counts towards the bounds until its login must be over.
type keptBody struct {
	size    int64
	expires time.Time
}

// keep keeps the request, and returns the name that it is found by.
func (k *restorer) keep(r *http.Request) (id string, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, k.maxBody+1))
	if err != nil {
		return "", err
	}
	if int64(len(body)) > k.maxBody {
		return "", errBodyTooLarge
	}
	text, err := json.Marshal(keptRequest{
		Method: r.Method, URL: returnTo(originalURL(r)), Type: r.Header.Get("Content-Type"), Encoding: r.Header.Get("Content-Encoding"), Body: body,
	})
	if err != nil {
		return "", err
	}
	expires := k.now().Add(session.AttemptAge + restoreSeconds*time.Second)
	if err := k.reserve(clientOf(r), int64(len(body)), expires); err != nil {
		return "", err
	}
	id = rand.Text()
	return id, k.keeper.Keep(r.Context(), id, k.sealer.Seal(text, restorePurpose, []byte(id)), expires)
}

// reserve counts a body against the bounds of its client and of all.
func (k *restorer) reserve(client string, size int64, expires time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire()
	if len(k.kept[client]) >= maxKeptOfClient || k.bytes+size > maxKeptBytes {
		return errTooManyKept
	}
	if k.kept == nil {
		k.kept = make(map[string][]keptBody)
	}
	k.kept[client] = append(k.kept[client], keptBody{size, expires})
	k.bytes += size
	return nil
}

func (k *restorer) expire() {
	now := k.now()
	for client, bodies := range k.kept {
		bodies = slices.DeleteFunc(bodies, func(b keptBody) bool {
			gone := !now.Before(b.expires)
			if gone {
				k.bytes -= b.size
			}
			return gone
		})
		if len(bodies) == 0 {
			delete(k.kept, client)
			continue
		}
		k.kept[client] = bodies
	}
}

// ticket is the value of the cookie that brings a kept request back: sealed
// together with the session that may use it.
func (k *restorer) ticket(attempt *session.Attempt, s *session.Session) string {
	return sealTicket(k.sealer, attempt.Post, s.Tag())
}

// bring makes the request what it was before the login, if it is the one that
// the cookie is for: the first GET navigation of the session to exactly that
// address. Fetch metadata of the whole way back from the OpenID Provider says
// cross-site, so that does not count; the cookie, which is Lax and good for a
// minute, does.
func (k *restorer) bring(r *http.Request, ticket string, s *session.Session) (restored bool, err error) {
	id, ok := openTicket(k.sealer, ticket, s.Tag())
	if !ok || r.Method != http.MethodGet || hasFetchMetadata(r.Header) && !isNavigation(r.Header) {
		return false, nil
	}
	sealed, err := k.keeper.Take(r.Context(), id)
	if err != nil || sealed == nil {
		return false, err
	}
	text, err := k.sealer.Open(sealed, restorePurpose, []byte(id))
	if err != nil {
		return false, nil
	}
	var kept keptRequest
	if err := json.Unmarshal(text, &kept); err != nil || kept.URL != returnTo(originalURL(r)) {
		return false, nil
	}
	r.Method = kept.Method
	for _, name := range []string{"Content-Type", "Content-Encoding", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
		r.Header.Del(name) // fetch metadata is about the redirect, not about the form
	}
	if kept.Type != "" {
		r.Header.Set("Content-Type", kept.Type)
	}
	if kept.Encoding != "" {
		r.Header.Set("Content-Encoding", kept.Encoding)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(kept.Body)), int64(len(kept.Body))
	r.TransferEncoding = nil
	return true, nil
}

// originalURL is the URL that the client sent, before any rewrite.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL
	}
	return r.URL
}

const ticketPurpose = "ticket for a kept request"

func sealTicket(s *seal.Sealer, id, sessionTag string) string {
	return base64.RawURLEncoding.EncodeToString(s.Seal([]byte(id), ticketPurpose, []byte(sessionTag)))
}

func openTicket(s *seal.Sealer, ticket, sessionTag string) (id string, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		return "", false
	}
	text, err := s.Open(sealed, ticketPurpose, []byte(sessionTag))
	return string(text), err == nil
}

// clientOf is the address that the bounds count by: Caddy's client address,
// which minds trusted proxies.
func clientOf(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}
