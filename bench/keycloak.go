// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// keycloakHome is where the end-to-end tests unpack Keycloak.
var keycloakHome = filepath.Join(".cache", "keycloak", "keycloak-26.4.0")

// startKeycloak runs Keycloak with its development database, H2 in a file, and a realm with
// the client and the person. It returns nil if it is not installed.
func startKeycloak(dir string, cfg settings) (*authServer, error) {
	home, err := filepath.Abs(keycloakHome)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(home, "lib", "quarkus-run.jar")); err != nil {
		return nil, nil
	}
	if err := writeRealm(home); err != nil {
		return nil, err
	}
	p := &proxy{addr: freeAddr(), log: filepath.Join(dir, "keycloak.log")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// The first start assembles it, and ends.
	for _, built := range []string{"false", "true"} {
		host, port, _ := net.SplitHostPort(p.addr)
		p.cmd = pinned(cfg.core, "java", "-Xms64m", "-Xmx768m",
			"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
			"-Dkc.home.dir="+home, "-Djboss.server.config.dir="+filepath.Join(home, "conf"), "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
			"-Dpicocli.disable.closures=true", "-Dkc.config.built="+built, "-cp", filepath.Join(home, "lib", "quarkus-run.jar"),
			"io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start-dev", "--http-host="+host, "--http-port="+port, "--import-realm")
		p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = home, log, log
		if err := p.cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting Keycloak: %w", err)
		}
		ended := make(chan struct{})
		go func() { _ = p.cmd.Wait(); close(ended) }()
		stop := func() { endKeycloak(p, ended) }
		if p.awaitRealm(ended) {
			const below = "/realms/bench/protocol/openid-connect"
			return &authServer{name: "Keycloak, H2", proxy: p, token: below + "/token", introspect: below + "/token/introspect", authorize: below + "/auth", warm: 20 * time.Second, stop: stop}, nil
		}
		stop()
	}
	return nil, fmt.Errorf("the server of Keycloak was not ready in time: see %s", p.log)
}

// awaitRealm waits until the realm answers, or the process has ended.
func (p *proxy) awaitRealm(ended <-chan struct{}) (ready bool) {
	_ = waitFor(6*time.Minute, func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		answer, err := http.Get("http://" + p.addr + "/realms/bench")
		if err != nil {
			return false
		}
		answer.Body.Close()
		ready = answer.StatusCode == http.StatusOK
		return ready
	})
	return ready
}

func endKeycloak(p *proxy, ended <-chan struct{}) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
	}
}

// writeRealm replaces what Keycloak knows by a realm.
func writeRealm(home string) error {
	data := filepath.Join(home, "data")
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	realm, err := json.Marshal(map[string]any{
		"realm": "bench", "enabled": true, "sslRequired": "none", "accessTokenLifespan": 300,
		"revokeRefreshToken": true, "refreshTokenMaxReuse": 0, // replaced with each use, as the gateway does
		"clientScopes": []map[string]any{{"name": serverScope, "protocol": "openid-connect", "attributes": map[string]string{"include.in.token.scope": "true"}}},
		"clients": []map[string]any{{
			"clientId": serverClient, "secret": issuerSecret, "protocol": "openid-connect", "redirectUris": []string{flowRedirect},
			"standardFlowEnabled": true, "serviceAccountsEnabled": true, "optionalClientScopes": []string{serverScope},
		}},
		"users": []map[string]any{{
			"username": flowPerson, "enabled": true, "email": "alice@example.com", "emailVerified": true, "firstName": "Alice", "lastName": "Example",
			"credentials": []map[string]string{{"type": "password", "value": flowPerson}},
		}},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(data, "import"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "import", "realm.json"), realm, 0o644)
}
