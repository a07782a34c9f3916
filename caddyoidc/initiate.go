// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// initiateLogin starts a login because another site asks for one, such as a
// portal of applications (OpenID Connect Core, section 4).
func (v *visitor) initiateLogin(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	params, err := initiateParams(w, r)
	if err == nil {
		err = once(params, []string{"iss", "login_hint", "target_link_uri"})
	}
	if err == nil && !v.rp.verifier.issuers.Spoke(params.Get("iss")) {
		// It would be a login at a provider that another site chose.
		err = errors.New("iss is not the OpenID Provider of this site")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		w.Header().Set("Allow", "GET, POST")
		return v.answerer.refuse(w, r, nil, methodNotAllowed())
	}
	if err != nil {
		return v.answerer.refuse(w, r, nil, identity.Malformed(err))
	}
	origin, err := v.site.origin(r)
	if err != nil {
		return v.answerer.refuse(w, r, nil, unknownHost(err))
	}
	visit := &visit{visitor: v, w: w, r: r, needs: anyLogin}
	attempt := &session.Attempt{ReturnTo: v.targetOf(params.Get("target_link_uri"), origin), Handler: v.id, Started: v.now()}
	a := session.NewAttempt(*attempt)
	return visit.redirectTo(ask{attempt: a, redirectURI: origin + escaped(v.paths.callback), maxAge: visit.maxAge(a), loginHint: params.Get("login_hint")})
}

// maxInitiateForm bounds the form of a third-party initiated login.
const maxInitiateForm = 16 << 10

func initiateParams(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	switch r.Method {
	case http.MethodGet:
		return url.ParseQuery(r.URL.RawQuery)
	case http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInitiateForm))
		if err != nil {
			return nil, err
		}
		return url.ParseQuery(string(body))
	}
	return nil, errors.ErrUnsupported
}

// targetOf is the page to open after a login that another site started: an
// address of this site, or else the landing page.
func (v *visitor) targetOf(target, origin string) string {
	if rest, ok := strings.CutPrefix(target, origin); ok && isLocal(rest) && len(rest) <= session.MaxReturnTo {
		return rest
	}
	return v.paths.landing
}
