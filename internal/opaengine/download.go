// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
)

func newClient(certificates []tls.Certificate) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates},
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			IdleConnTimeout:     90 * time.Second,
		},
		// A redirect would carry the token to an address outside the configuration.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const (
	// downloadTimeout is for a whole bundle, in addition to a long poll.
	downloadTimeout = 60 * time.Second

	minRetry, maxRetry = time.Second, 30 * time.Second

	longPollType = "application/vnd.openpolicyagent.bundles"
)

// answer is what the server of a bundle said. Without content nothing has changed.
type answer struct {
	packed    []byte
	etag      string
	longPolls bool
}

// follow keeps a bundle up to date: first by what was stored, then by its server.
func (e *Engine) follow(ctx context.Context, b *Bundle) {
	etag := e.restore(ctx, b)
	backoff := retry.Backoff{Min: minRetry, Max: maxRetry, Clock: e.settings.Clock}
	for ctx.Err() == nil {
		next, longPolls, err := e.update(ctx, b, etag)
		if ctx.Err() == nil {
			e.problems.note(b.Name, e.settings.Now(), err)
		}
		if err != nil {
			if ctx.Err() == nil {
				e.logger.Error("a bundle cannot be updated: the policies before stay in use", zap.String("bundle", b.Name), zap.Error(err))
			}
			backoff.Wait(ctx)
			continue
		}
		etag = next
		backoff.Reset()
		if !longPolls {
			e.settings.Clock.Sleep(ctx, b.pause())
		}
	}
}

// pause is the time until the next question, so that many gateways do not ask at once.
func (b *Bundle) pause() time.Duration {
	spread := retry.Backoff{Min: b.MinPoll, Max: b.MaxPoll}
	pause := b.MaxPoll
	if b.MaxPoll > b.MinPoll {
		spread.Min = b.MaxPoll // shortened at random by up to a quarter
		pause = max(b.MinPoll, spread.Next()-time.Duration(time.Now().UnixNano())%max(1, (b.MaxPoll-b.MinPoll)))
	}
	return pause
}

// update asks the server once and puts a new bundle to use.
func (e *Engine) update(ctx context.Context, b *Bundle, etag string) (string, bool, error) {
	a, err := b.ask(ctx, etag)
	if err != nil {
		return etag, false, err
	}
	if a.packed == nil {
		e.note(b)
		return etag, a.longPolls, nil
	}
	s, err := b.read(a.packed)
	if err == nil {
		err = e.useBundle(s)
	}
	if err != nil {
		return etag, false, fmt.Errorf("the bundle cannot be used: %w", err)
	}
	e.note(b)
	e.keep(ctx, b, a)
	return a.etag, a.longPolls, nil
}

func (e *Engine) note(b *Bundle) { e.checked[b.Name].Store(e.settings.Now().UnixNano()) }

// ask asks the server for what is newer than etag.
func (b *Bundle) ask(ctx context.Context, etag string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout+b.LongPoll)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL, nil)
	if err != nil {
		return nil, err
	}
	if b.Token != "" {
		req.Header.Set("Authorization", "Bearer "+b.Token)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	prefer := "modes=snapshot"
	if b.LongPoll > 0 {
		prefer += fmt.Sprintf(";wait=%d", int(b.LongPoll/time.Second))
	}
	req.Header.Set("Prefer", prefer)
	res, err := b.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the address may be secret
		}
		return nil, err
	}
	defer res.Body.Close()
	return b.answerOf(res)
}

func (b *Bundle) answerOf(res *http.Response) (*answer, error) {
	a := &answer{etag: res.Header.Get("ETag"), longPolls: b.LongPoll > 0 && strings.HasPrefix(res.Header.Get("Content-Type"), longPollType)}
	switch res.StatusCode {
	case http.StatusNotModified:
		return a, nil
	case http.StatusOK:
	default:
		return nil, fmt.Errorf("the server answers with status %d", res.StatusCode)
	}
	packed, err := io.ReadAll(io.LimitReader(res.Body, MaxBundle+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(packed) > MaxBundle:
		return nil, fmt.Errorf("the bundle is larger than %d MiB", MaxBundle>>20)
	}
	a.packed = packed
	return a, nil
}

// storedBundle is the first line of a stored bundle; the bundle follows.
type storedBundle struct {
	ETag    string    `json:"etag"`
	Checked time.Time `json:"checked"`
}

// storageKey is where a bundle is kept: that of another server is another one.
func (b *Bundle) storageKey() string {
	digest := sha256.Sum256([]byte(b.Name + "\n" + b.URL))
	return "gluu/opa/" + hex.EncodeToString(digest[:16]) + ".bundle"
}

func (e *Engine) keep(ctx context.Context, b *Bundle, a *answer) {
	if e.settings.Storage == nil {
		return
	}
	head, err := json.Marshal(storedBundle{a.etag, e.settings.Now()})
	if err == nil {
		err = e.settings.Storage.Store(ctx, b.storageKey(), slicesJoin(head, a.packed))
	}
	if err != nil && ctx.Err() == nil {
		e.logger.Warn("a bundle cannot be stored: after a restart it must be downloaded before requests are decided", zap.String("bundle", b.Name), zap.Error(err))
	}
}

func slicesJoin(head, packed []byte) []byte {
	return bytes.Join([][]byte{head, packed}, []byte("\n"))
}

// restore puts the bundle to use that was stored last. Its signature is checked like
// that of a new one: write access to the storage must not be enough to decide.
func (e *Engine) restore(ctx context.Context, b *Bundle) (etag string) {
	if e.settings.Storage == nil {
		return ""
	}
	content, err := e.settings.Storage.Load(ctx, b.storageKey())
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	head, packed, found := bytes.Cut(content, []byte("\n"))
	var stored storedBundle
	if err == nil {
		if err = json.Unmarshal(head, &stored); !found {
			err = errors.New("it is incomplete")
		}
	}
	var s *source
	if err == nil {
		s, err = b.read(packed)
	}
	if err == nil {
		err = e.useBundle(s)
	}
	if err != nil {
		e.logger.Warn("the stored bundle cannot be used", zap.String("bundle", b.Name), zap.Error(err))
		return ""
	}
	e.checked[b.Name].Store(stored.Checked.UnixNano())
	e.logger.Info("a stored bundle is used until its server answers", zap.String("bundle", b.Name), zap.String("revision", s.revision))
	return stored.ETag
}
