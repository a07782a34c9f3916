// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// startOAuth2Proxy runs oauth2-proxy, which knows people by a sealed cookie, in place
// of the gateway.
func startOAuth2Proxy(binary, dir string, env *environment, core int) (*proxy, error) {
	p := &proxy{addr: freeAddr(), log: filepath.Join(dir, "oauth2-proxy.log")}
	logFile, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p.cmd = pinned(core, binary,
		"--provider=oidc", "--oidc-issuer-url="+env.issuer.url, "--client-id="+issuerClient, "--client-secret="+issuerSecret,
		"--oidc-email-claim=sub", "--insecure-oidc-skip-nonce=false", "--insecure-oidc-allow-unverified-email", "--email-domain=*", "--code-challenge-method=S256",
		"--cookie-secret=0123456789abcdef0123456789abcdef", "--cookie-secure=false", "--skip-provider-button",
		"--http-address="+p.addr, "--redirect-url=http://"+p.addr+"/oauth2/callback", "--upstream=http://"+env.upstream,
		"--request-logging=false", "--auth-logging=false")
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(time.Minute, func() bool { return listening(p.addr) }); err != nil {
		p.stop()
		text, _ := os.ReadFile(p.log)
		return nil, fmt.Errorf("oauth2-proxy did not come up: %w\n%s", err, text)
	}
	return p, nil
}
