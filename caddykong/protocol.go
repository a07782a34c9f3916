// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// answerProtocol answers a request whose protocol its route does not have, with
// Kong's texts, and reports whether it has. A route that is for http alone
// serves https too, as in Kong.
func answerProtocol(w http.ResponseWriter, r *http.Request, route *MatchRoute) bool {
	has := func(name string) bool { return slices.Contains(route.Protocols, name) }
	if needsTLS := has("https") && !has("http") || has("grpcs") && !has("grpc"); needsTLS && !isSecure(r) {
		requireTLS(w, r, route.HTTPSRedirectStatusCode)
		return true
	}
	if onlyGRPC := (has("grpc") || has("grpcs")) && !has("http") && !has("https"); !onlyGRPC {
		return false
	}
	switch {
	case r.ProtoMajor < 2:
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "HTTP/2")
		answerMessage(w, http.StatusUpgradeRequired, "Please use HTTP2 protocol")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		answerMessage(w, http.StatusUnsupportedMediaType, "Non-gRPC request matched gRPC route")
	default:
		return false
	}
	return true
}

// requireTLS sends a client to https: with 426, or with a redirect.
func requireTLS(w http.ResponseWriter, r *http.Request, status int) {
	if status == 0 || status == http.StatusUpgradeRequired {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "TLS/1.2, HTTP/1.1")
		answerMessage(w, http.StatusUpgradeRequired, "Please use HTTPS protocol")
		return
	}
	host, _, _ := cutPort(r.Host)
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.WriteHeader(status)
}

// answerMessage answers in the form of Kong's own errors. The text needs no
// escaping.
func answerMessage(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+text+`"}`)
}
