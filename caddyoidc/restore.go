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
	id      string
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
	id = rand.Text()
	if err := k.reserve(clientOf(r), keptBody{id, int64(len(body)), expires}); err != nil {
		return "", err
	}
	if err := k.keeper.Keep(r.Context(), id, k.sealer.Seal(text, restorePurpose, []byte(id)), expires); err != nil {
		k.release(clientOf(r), id)
		return "", err
	}
	return id, nil
}

// reserve counts a body against the bounds of its client and of all.
func (k *restorer) reserve(client string, body keptBody) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire()
	if len(k.kept[client]) >= maxKeptOfClient || k.bytes+body.size > maxKeptBytes {
		return errTooManyKept
	}
	if k.kept == nil {
		k.kept = make(map[string][]keptBody)
	}
	k.kept[client] = append(k.kept[client], body)
	k.bytes += body.size
	return nil
}

func (k *restorer) expire() {
	now := k.now()
	for client := range k.kept {
		k.drop(client, func(b keptBody) bool { return !now.Before(b.expires) })
	}
}

// release makes room for others once a body has come back. One that comes back
// elsewhere, or to another address of its client, counts until it expires.
func (k *restorer) release(client, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(client, func(b keptBody) bool { return b.id == id })
}

func (k *restorer) drop(client string, gone func(keptBody) bool) {
	bodies := slices.DeleteFunc(k.kept[client], func(b keptBody) bool {
		if !gone(b) {
			return false
		}
		k.bytes -= b.size
		return true
	})
	if len(bodies) == 0 {
		delete(k.kept, client)
		return
	}
	k.kept[client] = bodies
}

// ticket is the value of the cookie that brings a kept request back: sealed
// together with the session that may use it, and the address.
func (k *restorer) ticket(attempt *session.Attempt, s *session.Session) string {
	return sealTicket(k.sealer, attempt.Post, s.Tag(), attempt.ReturnTo)
}

// bring makes the request what it was before the login, if it is the one that
// the cookie is for: the first GET navigation of the session to exactly that
// address. Fetch metadata of the whole way back from the OpenID Provider says
// cross-site, so that does not count; the cookie, which is Lax and good for a
// minute, does. Whatever else the browser asks for meanwhile, in another tab for
// example, leaves the kept request and its ticket alone: taken says whether the
// ticket is used up.
func (k *restorer) bring(r *http.Request, ticket string, s *session.Session) (taken bool, err error) {
	address := returnTo(originalURL(r))
	id, ok := openTicket(k.sealer, ticket, s.Tag(), address)
	if !ok || r.Method != http.MethodGet || !isPage(r) {
		return false, nil
	}
	sealed, err := k.keeper.Take(r.Context(), id)
	if err != nil || sealed == nil {
		return err == nil, err
	}
	k.release(clientOf(r), id)
	text, err := k.sealer.Open(sealed, restorePurpose, []byte(id))
	if err != nil {
		return true, nil
	}
	var kept keptRequest
	if err := json.Unmarshal(text, &kept); err != nil || kept.URL != address {
		return true, nil
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

func sealTicket(s *seal.Sealer, id, sessionTag, address string) string {
	return base64.RawURLEncoding.EncodeToString(s.Seal([]byte(id), ticketPurpose, []byte(sessionTag), []byte(address)))
}

func openTicket(s *seal.Sealer, ticket, sessionTag, address string) (id string, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		return "", false
	}
	text, err := s.Open(sealed, ticketPurpose, []byte(sessionTag), []byte(address))
	return string(text), err == nil
}

// clientOf is the address that the bounds count by: Caddy's client address,
// which minds trusted proxies.
func clientOf(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}
