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
	opaque, jwt string
}

const embeddedScopes = "todos:read todos:write profile todo:17"

// startEmbedded runs the authorization server and asks it for the tokens.
func startEmbedded(binary, dir string, core int) (*embedded, error) {
	hash, err := exec.Command(binary, "gluu", "hash-secret", "--plaintext", issuerSecret).Output()
	if err != nil {
		return nil, fmt.Errorf("hashing the client secret: %w", err)
	}
	client := func(id, format string) string {
		return fmt.Sprintf("\t\tclient %s {\n\t\t\tsecret `%s`\n\t\t\tgrants client_credentials\n\t\t\tscopes %s\n\t\t\ttoken_format %s\n\t\t}\n",
			id, strings.TrimSpace(string(hash)), embeddedScopes, format)
	}
	caddyfile := "{\n\tadmin {{admin}}\n\tlog {\n\t\tlevel WARN\n\t}\n}\nhttp://{{addr}} {\n\tgluu_oauth_server {\n" +
		"\t\tissuer http://{{addr}}\n\t\tscopes " + embeddedScopes + "\n\t\ttoken_ttl 12h\n" +
		client("app", "opaque") + client("app-jwt", "jwt") + "\t}\n}\n"
	process, err := startProxy(binary, dir, "authserver", caddyfile, core)
	if err != nil {
		return nil, err
	}
	e := &embedded{process: process}
	e.provider = fmt.Sprintf("\t\t\tissuer http://%s\n\t\t\tclient_id app\n\t\t\tclient_secret %s\n", process.addr, issuerSecret)
	if e.opaque, err = e.token("app"); err == nil {
		e.jwt, err = e.token("app-jwt")
	}
	if err != nil {
		process.stop()
		return nil, err
	}
	return e, nil
}

func (e *embedded) token(client string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {embeddedScopes}}
	r, err := http.NewRequest(http.MethodPost, "http://"+e.process.addr+"/oauth2/token", strings.NewReader(form.Encode()))
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
