// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// Documents finds clients whose client_id is the address of a document about them (OAuth
// Client ID Metadata Document). Any client can name an address, so what is fetched is bounded:
// https, no redirect, no private address and none of this machine, 5 KiB, 2 s, each
// address once a minute.
type Documents struct {
	// Hosts are the patterns of hosts that documents may be on, see MatchHost.
	Hosts []string

	Scopes []string // that such clients can have

	HTTP *http.Client // see NewDocumentClient
	Now  func() time.Time

	flights singleflight.Group
	mu      sync.Mutex
	cache   map[string]cachedDocument
}

type cachedDocument struct {
	client *authcore.Client // nil: it could not be had
	until  time.Time
}

const (
	maxDocument     = 5 << 10
	documentTimeout = 2 * time.Second

	// minDocumentAge is how long a document, or a failure, is remembered at least,
	// and maxDocumentAge how long at the most.
	minDocumentAge = time.Minute
	maxDocumentAge = 24 * time.Hour

	maxDocuments = 10_000
)

// isDocument reports whether a client_id is the address of a document.
func isDocument(id string) bool { return strings.HasPrefix(id, "https://") }

// checkDocumentURL refuses what could be read in two ways.
func (d *Documents) checkDocumentURL(id string) error {
	u, err := url.Parse(id)
	switch {
	case err != nil || len(id) > 2048 || authcore.CheckRedirectURI(id, false) != nil:
		return errors.New("it is not a plain https address")
	case u.Path == "" || u.Path == "/":
		return errors.New("it has no path")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("it has a query")
	}
	if !slices.ContainsFunc(d.Hosts, func(pattern string) bool { return pattern == "*" || MatchHost(pattern, u.Hostname()) }) {
		return errors.New("its host is not among client_metadata_documents")
	}
	return nil
}

// client returns the client that a document describes, or authcore.ErrNotFound.
func (d *Documents) client(ctx context.Context, s *Server, id string) (*authcore.Client, error) {
	if d.checkDocumentURL(id) != nil {
		return nil, authcore.ErrNotFound
	}
	if client, known := d.cached(id); known {
		return orNotFound(client)
	}
	// A fetch that another request began is waited for, even if that request ends meanwhile.
	results := d.flights.DoChan(id, func() (any, error) {
		if client, known := d.cached(id); known {
			return client, nil
		}
		client, age, err := d.fetch(context.WithoutCancel(ctx), id)
		if err != nil {
			s.Logger.Warn("a client metadata document cannot be used", logDocument(id, err)...)
			client, age = nil, minDocumentAge
		}
		d.keep(id, client, age)
		return client, nil
	})
	select {
	case result := <-results:
		client, _ := result.Val.(*authcore.Client)
		return orNotFound(client)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func orNotFound(client *authcore.Client) (*authcore.Client, error) {
	if client == nil {
		return nil, authcore.ErrNotFound
	}
	return client, nil
}

func (d *Documents) cached(id string) (*authcore.Client, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.cache[id]
	return found.client, ok && d.Now().Before(found.until)
}

func (d *Documents) keep(id string, client *authcore.Client, age time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cache == nil || len(d.cache) >= maxDocuments {
		d.cache = make(map[string]cachedDocument)
	}
	d.cache[id] = cachedDocument{client, d.Now().Add(age)}
}

func (d *Documents) fetch(ctx context.Context, id string) (*authcore.Client, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := d.HTTP.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("its server answers %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxDocument {
		return nil, 0, fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	client, err := d.read(id, body)
	return client, ageOf(response.Header), err
}

// ageOf is how long a document may be kept.
func ageOf(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			if seconds, err := strconv.Atoi(text); err == nil {
				return min(max(time.Duration(seconds)*time.Second, minDocumentAge), maxDocumentAge)
			}
		}
	}
	return minDocumentAge
}

// read turns a document into a client.
func (d *Documents) read(id string, body []byte) (*authcore.Client, error) {
	m, err := parseMetadata(body)
	if err != nil {
		return nil, err
	}
	named, err := parseClientID(body)
	if err != nil || named != id {
		return nil, errors.New("its client_id is not its own address")
	}
	if m.AuthMethod == "" {
		m.AuthMethod = authcore.AuthNone
	}
	if m.AuthMethod != authcore.AuthNone && m.AuthMethod != authcore.AuthPrivateKeyJWT {
		return nil, errors.New("its token_endpoint_auth_method is neither none nor private_key_jwt")
	}
	if len(m.RedirectURIs) == 0 || len(m.RedirectURIs) > maxRedirectURIs {
		return nil, errors.New("it needs 1 to 20 redirect_uris")
	}
	for _, uri := range m.RedirectURIs {
		if err := authcore.CheckRedirectURI(uri, false); err != nil {
			return nil, err
		}
	}
	if err := completeMetadata(m); err != nil {
		return nil, err
	}
	return &authcore.Client{
		ClientID: id, Name: m.Name, Public: m.AuthMethod == authcore.AuthNone, Auth: m.AuthMethod, JWKS: m.JWKS,
		Grants: m.GrantTypes, Scopes: d.Scopes, RedirectURIs: m.RedirectURIs, IDTokenAlg: m.IDTokenAlg, Fetched: true,
	}, nil
}

// NewDocumentClient returns what fetches documents: it follows no redirect, uses no proxy,
// and connects to public addresses alone, which it checks after the name was resolved.
func NewDocumentClient() *http.Client {
	dialer := &net.Dialer{Timeout: documentTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return checkPublic(address, net.InterfaceAddrs)
	}}
	return &http.Client{
		Timeout:       documentTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("its server redirects") },
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: documentTimeout, MaxResponseHeaderBytes: 16 << 10},
	}
}

// notPublic are ranges that net/netip does not tell.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// checkPublic refuses addresses that are not on the public internet, and those of this
// machine.
func checkPublic(address string, own func() ([]net.Addr, error)) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	refused := fmt.Errorf("%s is not a public address", ip)
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" || slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return refused
	}
	addresses, err := own()
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Addr().Unmap() == ip {
			return refused
		}
	}
	return nil
}
