// SPDX-License-Identifier: Apache-2.0

package optest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// authenticated checks the client's credentials, in the header or the form.
func (op *OP) authenticated(r *http.Request) bool {
	if err := r.ParseForm(); err != nil {
		return false
	}
	if id, secret, ok := r.BasicAuth(); ok {
		id, err := url.QueryUnescape(id)
		if err != nil {
			return false
		}
		secret, err = url.QueryUnescape(secret)
		return err == nil && id == op.Client.ID && secret == op.Client.Secret
	}
	return r.PostForm.Get("client_id") == op.Client.ID && r.PostForm.Get("client_secret") == op.Client.Secret
}

func (op *OP) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	op.Lock()
	before := op.BeforeToken
	op.Unlock()
	if before != nil {
		before(r.PostForm)
	}
	op.Lock()
	defer op.Unlock()
	if !op.authenticated(r) {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	var g *grant
	isRefresh := r.PostForm.Get("grant_type") == "refresh_token"
	if isRefresh {
		g = op.redeemRefresh(r.PostForm)
	} else {
		g = op.redeemCode(r.PostForm)
	}
	if g == nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	answer, err := op.tokens(g, isRefresh)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// redeemCode redeems a code once, with the verifier of its challenge.
func (op *OP) redeemCode(form url.Values) *grant {
	g := op.codes[form.Get("code")]
	if g == nil || g.used || form.Get("redirect_uri") != g.redirectURI {
		return nil
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		return nil
	}
	g.used = true
	return g
}

func (op *OP) redeemRefresh(form url.Values) *grant {
	g := op.refresh[form.Get("refresh_token")]
	if g == nil || op.RefuseRefresh {
		return nil
	}
	if op.RotateRefresh {
		delete(op.refresh, form.Get("refresh_token"))
	}
	return g
}

// tokens makes the answer of the token endpoint.
func (op *OP) tokens(g *grant, isRefresh bool) (map[string]any, error) {
	op.serial++
	access := fmt.Sprintf("at-%d-%s", op.serial, rand.Text())
	op.access[access] = g
	op.issued = append(op.issued, access)
	answer := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int64(op.AccessLife.Seconds()), "scope": g.scope,
	}
	if !op.NoRefresh && (!isRefresh || op.RotateRefresh) {
		token := "rt-" + rand.Text()
		op.refresh[token] = g
		op.issued = append(op.issued, token)
		answer["refresh_token"] = token
	}
	if !isRefresh || !op.NoRefreshID {
		idToken, err := op.idToken(g, access, isRefresh)
		if err != nil {
			return nil, err
		}
		// The signature of a JWT is as secret as the whole.
		if signature := idToken[strings.LastIndexByte(idToken, '.')+1:]; signature != "" {
			op.issued = append(op.issued, signature)
		}
		answer["id_token"] = idToken
	}
	if op.EditTokenAnswer != nil {
		op.EditTokenAnswer(answer)
	}
	return answer, nil
}

func (op *OP) idToken(g *grant, access string, isRefresh bool) (string, error) {
	sum := sha256.Sum256([]byte(access))
	now := op.Now()
	claims := map[string]any{
		"iss": op.URL, "sub": g.login.user.Subject, "aud": op.Client.ID, "iat": now.Unix(), "exp": now.Add(op.IDTokenLife).Unix(),
		"auth_time": g.login.at.Unix(), "acr": g.login.acr, "amr": g.login.user.AMR, "sid": g.login.sid,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	if !isRefresh {
		claims["nonce"] = g.nonce
	}
	maps.Copy(claims, g.login.user.Claims)
	key := op.Keys[len(op.Keys)-1]
	header := map[string]any{"kid": key.ID(), "typ": "JWT"}
	if op.EditIDToken != nil {
		op.EditIDToken(claims, header)
	}
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	maps.DeleteFunc(header, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	if op.SignIDToken != nil {
		return op.SignIDToken(text, header), nil
	}
	return jose.SignWithHeader(text, key, key.Algorithm(), header)
}

func (op *OP) userinfo(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	g := op.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if g == nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "unknown token", http.StatusUnauthorized)
		return
	}
	claims := map[string]any{"sub": g.login.user.Subject, "email": g.login.user.Subject + "@example.com"}
	maps.Copy(claims, g.login.user.Claims)
	if op.EditUserinfo != nil {
		op.EditUserinfo(claims)
	}
	if op.SignUserinfo {
		op.writeSigned(w, claims)
		return
	}
	writeJSON(w, http.StatusOK, claims)
}

// writeSigned answers with claims in a JWT for the client (OpenID Connect Core,
// section 5.3.2).
func (op *OP) writeSigned(w http.ResponseWriter, claims map[string]any) {
	claims["iss"], claims["aud"] = op.URL, op.Client.ID
	key := op.Keys[len(op.Keys)-1]
	text, err := json.Marshal(claims)
	var raw string
	if err == nil {
		raw, err = jose.Sign(text, key, key.Algorithm(), key.ID(), "JWT")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = w.Write([]byte(raw))
}

func (op *OP) revoke(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	if !op.authenticated(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	delete(op.refresh, r.PostForm.Get("token"))
}
