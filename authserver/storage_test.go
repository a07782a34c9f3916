// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// helperEnv makes this test binary a gateway of its own that issues tokens into
// the file that it names.
const helperEnv = "AUTHSERVER_TEST_TOKEN_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(helperEnv); path != "" {
		os.Exit(issueUntilKilled(path))
	}
	os.Exit(m.Run())
}

func openCore(path string) (*authcore.Store, func() error, error) {
	engine, err := embedded.Open(path)
	if err != nil {
		return nil, nil, err
	}
	records, err := store.New(engine, store.Options{Secrets: []string{storeSecret}, Timeout: time.Minute})
	if err != nil {
		return nil, nil, err
	}
	return authcore.New(records, time.Now), records.Close, nil
}

var helperTerms = authcore.Terms{AccessTTL: time.Hour, Refresh: true, Idle: time.Hour, Absolute: time.Hour}

// issueUntilKilled prints what a client would have got, once it would have: tokens for a
// code, and then for a refresh token.
func issueUntilKilled(path string) int {
	core, _, err := openCore(path)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	accept := func(*authcore.Grant) (authcore.Terms, error) { return helperTerms, nil }
	for {
		code, err := core.IssueCode(context.Background(), &authcore.Code{Grant: authcore.Grant{Issuer: testIssuer, ClientID: "app", Subject: "alice"}}, time.Minute, nil)
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		first, err := core.RedeemCode(context.Background(), code, authcore.Redemption{Issuer: testIssuer, ClientID: "app", Accept: accept})
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println(code, first.AccessText, first.RefreshText)
		second, err := core.RotateRefresh(context.Background(), first.RefreshText, authcore.Rotation{Issuer: testIssuer, ClientID: "app", Accept: accept})
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println(code, second.AccessText, second.RefreshText, first.RefreshText)
	}
}

// What was answered is there after kill -9: tokens are active, codes and refresh tokens that
// were used stay used.
func TestWhatWasAnsweredSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	for round := range 3 {
		lines := linesUntilKilled(t, path, 20+round)
		core, closeCore, err := openCore(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			words := strings.Fields(line)
			if len(words) < 3 || len(words[len(words)-1]) != 43 {
				continue // a line that was cut off
			}
			if _, err := core.FindToken(t.Context(), testIssuer, words[1]); err != nil {
				t.Fatalf("round %d: a token that was answered is gone: %v", round, err)
			}
		}
		last := strings.Fields(lines[len(lines)-2])
		_, err = core.RedeemCode(t.Context(), last[0], authcore.Redemption{Issuer: testIssuer, ClientID: "app"})
		if err == nil {
			t.Errorf("round %d: a code that was used can be used again", round)
		}
		if err := closeCore(); err != nil {
			t.Fatal(err)
		}
	}
}

func linesUntilKilled(t *testing.T, path string, n int) (lines []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), helperEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if strings.HasPrefix(scanner.Text(), "error") {
			t.Fatal(scanner.Text())
		}
		if lines = append(lines, scanner.Text()); len(lines) == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // killed
	if len(lines) < n {
		t.Fatalf("only %d lines before the kill", len(lines))
	}
	return lines
}

// writeLegacy writes a file as the first version of the gateway did.
func writeLegacy(t *testing.T, path string, tokens map[authcore.TokenID]legacyToken, format string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range legacyBuckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		for id, token := range tokens {
			value, err := json.Marshal(token)
			if err != nil {
				return err
			}
			key := append(binary.BigEndian.AppendUint64(nil, uint64(token.ExpiresAt)), id[:]...)
			if err := tx.Bucket([]byte("expiry")).Put(key, []byte(token.Issuer+"\x00"+token.ClientID)); err != nil {
				return err
			}
			if err := tx.Bucket([]byte("tokens")).Put(id[:], value); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte(format))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The file of the first version is taken over in place, without loss: opaque tokens stay active,
// JWTs that were revoked stay revoked.
func TestTheOldFileIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens.db")
	now := time.Now()
	before := start(t, testConfig(), t.TempDir()) // signs like the server below
	jwt := before.token("jwt-app")
	tokens := map[authcore.TokenID]legacyToken{
		authcore.TokenID([]byte(before.rfc.KeyOf(jwt))): {Issuer: testIssuer, ClientID: "jwt-app", Subject: "jwt-app", IssuedAt: now.Unix(), ExpiresAt: now.Add(time.Hour).Unix(), Revoked: true},
	}
	const n = 3*migrationBatch + 7
	for i := range n {
		tokens[authcore.OpaqueTokenID(testIssuer, fmt.Sprint("token", i))] = legacyToken{
			Issuer: testIssuer, ClientID: "app", Subject: "app", Scopes: []string{"todos:read"}, IssuedAt: now.Unix(), ExpiresAt: now.Add(time.Hour).Unix(),
		}
	}
	tokens[authcore.OpaqueTokenID(testIssuer, "expired")] = legacyToken{Issuer: testIssuer, ClientID: "app", IssuedAt: 1, ExpiresAt: 2}
	writeLegacy(t, path, tokens, "1")

	for _, moment := range []string{"after the migration", "after a restart"} {
		server := start(t, testConfig(), dir)
		for i := range n {
			if a := server.introspect(fmt.Sprint("token", i)); a.body["active"] != true || a.body["scope"] != "todos:read" {
				t.Fatalf("%s: token %d: %s", moment, i, a.text)
			}
		}
		if server.active(jwt) {
			t.Errorf("%s: a revoked JWT is active", moment)
		}
		if server.active("expired") {
			t.Errorf("%s: an expired token is active", moment)
		}
		server.stop()
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for _, name := range legacyBuckets {
			if tx.Bucket([]byte(name)) != nil {
				t.Errorf("the bucket %s is still in the file of %d bytes", name, len(content))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnOldFileOfAnotherFormatIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	writeLegacy(t, filepath.Join(dir, "tokens.db"), nil, "2")
	if _, err := tryStart(t, testConfig(), dir); err == nil || !strings.Contains(err.Error(), `format "2"`) {
		t.Errorf("got %v, want the format in it", err)
	}
}

// Nothing in the file is of use at an endpoint, and nothing names a client or a person.
func TestNothingInTheFileIsInClear(t *testing.T) {
	dir := t.TempDir()
	server := start(t, testConfig(), dir)
	opaque, jwt := server.token("app"), server.token("jwt-app")
	if a := server.revoke("jwt-app", jwt); a.Code != http.StatusOK {
		t.Fatal(a.text)
	}
	server.stop()
	content, err := os.ReadFile(filepath.Join(dir, "tokens.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"the opaque token":           opaque,
		"a part of the opaque token": opaque[:16],
		"the signature of the JWT":   jwt[strings.LastIndex(jwt, ".")+1:],
		"the client":                 "jwt-app",
		"a scope":                    "todos:read",
	} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s is in the file", name)
		}
	}
	if !bytes.Contains(content, []byte("access_token")) {
		t.Error("the kind of the record is not in the file; what was searched?")
	}
}

func TestConfigurationsShareTheFileAcrossAReload(t *testing.T) {
	dir := t.TempDir()
	first := start(t, testConfig(), dir)
	token := first.token("app")
	second := start(t, testConfig(), dir) // the new one starts before the old one stops
	first.stop()
	if !second.active(token) || !second.active(second.token("app")) {
		t.Error("after a reload: inactive")
	}
	second.stop()
	third := start(t, testConfig(), dir)
	if !third.active(token) {
		t.Error("after a restart: inactive")
	}
	third.stop()
	db, err := bbolt.Open(filepath.Join(dir, "tokens.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatalf("the file is still open: %v", err)
	}
	db.Close()
	if err := third.Cleanup(); err != nil { // twice is once
		t.Error(err)
	}
}

func TestAFileInUseByAnotherProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := tryStart(t, testConfig(), dir); err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that says who has the file %s", err, path)
	}
}

func TestStorageIsFoundInCaddysDataDirectory(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	config := testConfig()
	dir := t.TempDir()
	config.StorageRaw = json.RawMessage(`{"module": "embedded"}`)
	start(t, config, dir)
	path := filepath.Join(caddy.AppDataDir(), "gluu", "oauth_server.db")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want 0600", path, info, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("permissions of the folder: %v, %v; want 0700", info, err)
	}
}

// The gateway asks a server directly only if the answer waits for nothing: neither the start
// nor a client's document.
func TestWhenAServerAnswersAtOnce(t *testing.T) {
	documents := registrationConfig()
	documents.ClientMetadataDocuments = []string{"*"}
	for name, test := range map[string]struct {
		config *Server
		want   bool
	}{
		"a file":                     {peopleConfig(), true},
		"a file, clients' documents": {documents, false},
	} {
		server := start(t, test.config, t.TempDir())
		if got := (localServer{server.Server}).AnswersAtOnce(); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
		early := &Server{rfc: server.rfc, ready: make(chan struct{})}
		if (localServer{early}).AnswersAtOnce() {
			t.Errorf("%s: a server that has not started answers at once", name)
		}
	}
}
