// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// helperEnv makes this test binary a gateway of its own that stores tokens in
// the file that it names.
const helperEnv = "AUTHSERVER_TEST_TOKEN_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(helperEnv); path != "" {
		os.Exit(storeTokensUntilKilled(path))
	}
	os.Exit(m.Run())
}

// storeTokensUntilKilled prints the ID of each token once it is stored.
func storeTokensUntilKilled(path string) int {
	file, err := openTokenFile(path, zap.NewNop())
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("open")
	for i := 0; ; i++ {
		token := testToken(fmt.Sprintf("token %d", i), time.Hour)
		if err := file.put(token, 1_000_000); err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println(hex.EncodeToString(token.ID[:]))
	}
}

func testToken(text string, ttl time.Duration) *Token {
	now := time.Now().Truncate(time.Second)
	return &Token{
		ID: opaqueTokenID(testIssuer, text), Issuer: testIssuer, ClientID: "app", Subject: "app",
		Scopes: []string{"a", "b"}, IssuedAt: now, ExpiresAt: now.Add(ttl),
	}
}

func open(t *testing.T, path string) *tokenFile {
	t.Helper()
	file, err := openTokenFile(path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func shut(t *testing.T, file *tokenFile) {
	t.Helper()
	if err := file.Destruct(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsStoredIsFoundAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	file := open(t, path)
	want := testToken("one", time.Hour)
	revoked := testToken("two", time.Hour)
	revoked.Revoked = true
	gone := testToken("three", time.Hour)
	for _, token := range []*Token{want, revoked, gone} {
		if err := file.put(token, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.delete(gone.ID); err != nil {
		t.Fatal(err)
	}
	for _, moment := range []string{"before", "after"} {
		for _, token := range []*Token{want, revoked} {
			got, err := file.get(token.ID)
			if err != nil || !reflect.DeepEqual(got, token) {
				t.Errorf("%s the restart: got %+v, %v; want %+v", moment, got, err, token)
			}
		}
		if got, err := file.get(gone.ID); !errors.Is(err, ErrNoToken) {
			t.Errorf("%s the restart: got %+v, %v for a deleted token; want ErrNoToken", moment, got, err)
		}
		if got := file.held[ownerOf(testIssuer, "app")]; got != 2 {
			t.Errorf("%s the restart: %d tokens counted, want 2", moment, got)
		}
		shut(t, file)
		file = open(t, path)
	}
	shut(t, file)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions of the file: got %v, %v; want 0600", info.Mode(), err)
	}
}

func TestWhatWasStoredSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	for round := range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), helperEnv+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var ids []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			if ids = append(ids, lines.Text()); len(ids) == 20+round {
				// In the middle of the next one. What it still prints
				// afterwards counts as well.
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // killed
		if len(ids) < 20 {
			t.Fatalf("only %d lines before the kill", len(ids))
		}
		file := open(t, path)
		for _, text := range ids[1:] { // the first says that the file is open
			var id TokenID
			if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) {
				continue // a line that was cut off
			}
			if _, err := file.get(id); err != nil {
				t.Errorf("round %d: a token that was stored is gone: %v", round, err)
			}
		}
		shut(t, file)
	}
}

func TestTwoProcessesDoNotShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), helperEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the other process: %q", lines.Text())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	_, err = openTokenFile(path, zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that says who has the file %s", err, path)
	}
}

func TestExpiredTokensAreSwept(t *testing.T) {
	file := open(t, filepath.Join(t.TempDir(), "tokens.db"))
	defer shut(t, file)
	now := time.Now()
	file.now = func() time.Time { return now }
	const expired, kept = sweepBatch + 10, 5
	var wait sync.WaitGroup
	for i := range expired + kept {
		ttl := time.Minute
		if i >= expired {
			ttl = 2 * time.Hour
		}
		wait.Go(func() {
			if err := file.put(testToken(fmt.Sprint(i), ttl), 10_000); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if err := file.sweep(); err != nil {
		t.Fatal(err)
	}
	if got := file.count(t); got != [2]int{expired + kept, expired + kept} {
		t.Fatalf("swept before they have expired: %v left of %d", got, expired+kept)
	}
	now = now.Add(time.Hour)
	if err := file.sweep(); err != nil {
		t.Fatal(err)
	}
	if got := file.count(t); got != [2]int{kept, kept} {
		t.Errorf("left: got %v in the two buckets, want %d each", got, kept)
	}
	if got := file.held[ownerOf(testIssuer, "app")]; got != kept {
		t.Errorf("counted: got %d, want %d", got, kept)
	}
}

func (f *tokenFile) count(t *testing.T) (n [2]int) {
	t.Helper()
	err := f.db.View(func(tx *bbolt.Tx) error {
		n = [2]int{tx.Bucket(tokensBucket).Stats().KeyN, tx.Bucket(expiryBucket).Stats().KeyN}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAClientAtItsLimitIsRefusedUntilItsTokensExpire(t *testing.T) {
	file := open(t, filepath.Join(t.TempDir(), "tokens.db"))
	defer shut(t, file)
	now := time.Now().Truncate(time.Second)
	file.now = func() time.Time { return now }
	expiring := func(i int) *Token {
		token := testToken(fmt.Sprint(i), 0)
		token.ExpiresAt = now.Add(time.Duration(i+1) * time.Second)
		return token
	}
	for i := range 3 {
		if err := file.put(expiring(i), 3); err != nil {
			t.Fatal(err)
		}
	}
	// Storing one again does not make it a fourth one, even at the limit of
	// four.
	for range 2 {
		if err := file.put(expiring(0), 4); err != nil {
			t.Fatal(err)
		}
	}
	other := testToken("5", time.Hour)
	other.ClientID = "other"
	if err := file.put(other, 3); err != nil {
		t.Errorf("another client: %v", err)
	}
	for i := range 3 {
		now = now.Add(time.Second) // the next one expires
		if err := file.put(testToken(fmt.Sprint("new", i), time.Hour), 3); err != nil {
			t.Fatalf("after %d of its tokens have expired: %v", i+1, err)
		}
		if err := file.put(testToken("more", time.Hour), 3); !errors.Is(err, ErrTooManyTokens) {
			t.Fatalf("beyond the limit: got %v, want ErrTooManyTokens", err)
		}
	}
	if got := file.count(t); got != [2]int{4, 4} {
		t.Errorf("in the file: got %v, want three of one client and one of the other", got)
	}
}

func TestTokensAreCountedRightUnderConcurrency(t *testing.T) {
	file := open(t, filepath.Join(t.TempDir(), "tokens.db"))
	defer shut(t, file)
	const limit = 10
	var mu sync.Mutex
	stored := 0
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			token := testToken(fmt.Sprint(i), time.Hour)
			err := file.put(token, limit)
			if err == nil {
				mu.Lock()
				stored++
				mu.Unlock()
				if _, err := file.get(token.ID); err != nil {
					t.Errorf("a stored token is not found: %v", err)
				}
			} else if !errors.Is(err, ErrTooManyTokens) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if stored != limit || file.count(t)[0] != limit {
		t.Errorf("stored: %d reported, %d in the file; want %d", stored, file.count(t)[0], limit)
	}
	for i := range 40 {
		wait.Go(func() {
			if err := file.delete(opaqueTokenID(testIssuer, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(file.held) != 0 || file.count(t) != [2]int{} {
		t.Errorf("after all are deleted: counted %v, in the file %v", file.held, file.count(t))
	}
}

func TestAFileThatIsNoStorageIsRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	future := filepath.Join(dir, "future")
	file := open(t, future)
	if err := file.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte("2")) }); err != nil {
		t.Fatal(err)
	}
	shut(t, file)
	for path, want := range map[string]string{
		text:   "is not a token storage",
		future: `format is "2"`,
		dir:    "opening the token storage",
	} {
		file, err := openTokenFile(path, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error with %q and the path", err, want)
		}
		if err == nil {
			shut(t, file)
		}
	}
}

func TestNothingInTheFileCanBeUsedAsAToken(t *testing.T) {
	dir := t.TempDir()
	server := start(t, testConfig(), dir)
	opaque, jwt := server.token("app"), server.token("jwt-app")
	server.revoke("jwt-app", jwt)
	server.stop()
	content, err := os.ReadFile(filepath.Join(dir, "tokens.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"the opaque token":           opaque,
		"a part of the opaque token": opaque[:16],
		"the signature of the JWT":   jwt[strings.LastIndex(jwt, ".")+1:],
	} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s is in the file", name)
		}
	}
	if !bytes.Contains(content, []byte(`"client_id":"app"`)) {
		t.Error("the record of the token is not in the file; what was searched?")
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
	tokenFiles.Range(func(key, _ any) bool {
		if strings.HasPrefix(key.(string), dir) {
			t.Errorf("%v is still open", key)
		}
		return true
	})
	if err := third.Cleanup(); err != nil { // twice is once
		t.Error(err)
	}
}

func TestStorageIsFoundInCaddysDataDirectory(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	storage := new(EmbeddedStorage)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := storage.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(data, "caddy", "gluu", "oauth_server.db"); storage.path != want {
		t.Errorf("path: got %s, want %s", storage.path, want)
	}
	opened, err := storage.OpenStorage()
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	info, err := os.Stat(filepath.Dir(storage.path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("permissions of the folder: got %v, %v; want 0700", info.Mode(), err)
	}
}
