// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"
)

// embedded is the gateway's own authorization server in a process of its own,
// and a token of each kind from it.
type embedded struct {
	process     *proxy
	provider    string // words of a provider block that trusts it
	server      string // the directive that makes a site such a server
	opaque, jwt string
}

const embeddedScopes = "todos:read todos:write profile todo:17"

// startEmbedded runs the authorization server and asks it for the tokens.
func startEmbedded(binary, dir string, core int) (*embedded, error) {
	server, err := serverDirective(binary)
	if err != nil {
		return nil, err
	}
	process, err := startProxy(binary, dir, "authserver", "{\n\tadmin {{admin}}\n\tlog {\n\t\tlevel WARN\n\t}\n}\nhttp://{{addr}} {\n"+server+"}\n", core)
	if err != nil {
		return nil, err
	}
	e := &embedded{process: process, server: server}
	e.provider = fmt.Sprintf("\t\t\tissuer http://%s\n\t\t\tclient_id app\n\t\t\tclient_secret %s\n", process.addr, issuerSecret)
	if e.opaque, err = askForToken(process.addr, "app"); err == nil {
		e.jwt, err = askForToken(process.addr, "app-jwt")
	}
	if err != nil {
		process.stop()
		return nil, err
	}
	return e, nil
}

// serverDirective returns the server with a client for each format of tokens.
func serverDirective(binary string) (string, error) {
	hash, err := exec.Command(binary, "gluu", "hash-secret", "--plaintext", issuerSecret).Output()
	if err != nil {
		return "", fmt.Errorf("hashing the client secret: %w", err)
	}
	client := func(id, format string) string {
		return fmt.Sprintf("\t\tclient %s {\n\t\t\tsecret `%s`\n\t\t\tgrants client_credentials\n\t\t\tscopes %s\n\t\t\ttoken_format %s\n\t\t}\n",
			id, strings.TrimSpace(string(hash)), embeddedScopes, format)
	}
	return "\tgluu_oauth_server {\n\t\tissuer http://{{addr}}\n\t\tscopes " + embeddedScopes + "\n\t\ttoken_ttl 12h\n" +
		client("app", "opaque") + client("app-jwt", "jwt") + "\t}\n", nil
}

// mint has the server of the gateway issue as many tokens as the scenario wants, and
// sends them in turn with its requests from then on.
func (s *scenario) mint(addr string) error {
	if s.minted == 0 {
		return nil
	}
	tokens := make([]string, s.minted)
	for i := range tokens {
		var err error
		if tokens[i], err = askForToken(addr, "app"); err != nil {
			return err
		}
	}
	path := s.request(0).path
	s.request = func(n uint64) request {
		return request{path: path, authorization: "Bearer " + tokens[n%uint64(len(tokens))]}
	}
	return nil
}

// askForToken asks the server at an address for a token of a client.
func askForToken(addr, client string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {embeddedScopes}}
	r, err := http.NewRequest(http.MethodPost, "http://"+addr+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, issuerSecret)
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &granted); err != nil || granted.AccessToken == "" {
		return "", fmt.Errorf("no token for %s: %s: %s", client, answer.Status, body)
	}
	return granted.AccessToken, nil
}
