// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// keycloakVersion is the release that the tests run against.
const keycloakVersion = "26.4.0"

// keycloakPatience is how long Keycloak may take to start. The first time it
// assembles itself, which takes most of a minute on a slow machine.
const keycloakPatience = 4 * time.Minute

// A Keycloak is the authorization server Keycloak in a process of its own,
// behind a Relay, with one imported realm.
type Keycloak struct {
	*Relay
	Realm  string
	Issuer string // by way of the relay

	home    string
	addr    string
	process *Process
}

// NewKeycloak imports a realm into an empty Keycloak and starts it. It lives
// until Close. The error is ErrMissing if it cannot be installed.
func NewKeycloak(realmFile string) (*Keycloak, error) {
	realm, err := os.ReadFile(realmFile)
	if err != nil {
		return nil, err
	}
	var named struct{ Realm string }
	if err := json.Unmarshal(realm, &named); err != nil {
		return nil, fmt.Errorf("%s: %w", realmFile, err)
	}
	home, err := keycloakHome()
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(home, "data")); err != nil {
		return nil, err
	}
	imports := filepath.Join(home, "data", "import")
	if err := os.MkdirAll(imports, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(imports, "realm.json"), realm, 0o644); err != nil {
		return nil, err
	}
	relay, err := newRelay()
	if err != nil {
		return nil, err
	}
	k := &Keycloak{Relay: relay, Realm: named.Realm, Issuer: "http://" + relay.Addr + "/realms/" + named.Realm, home: home}
	if err := k.Start(); err != nil {
		relay.close()
		return nil, err
	}
	return k, nil
}

// AddRealm imports one more realm, under another name than the one in the
// file. What it returns is the same server with that realm.
func (k *Keycloak) AddRealm(t testing.TB, file, name string) *Keycloak {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var realm map[string]any
	if err := json.Unmarshal(text, &realm); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	realm["realm"] = name
	k.admin(t, http.MethodPost, "/admin/realms", realm)
	added := *k
	added.Realm, added.Issuer = name, "http://"+k.Relay.Addr+"/realms/"+name
	return &added
}

// Start starts it, or starts it again after Stop with what it knew.
func (k *Keycloak) Start() (err error) {
	if k.addr, err = testenv.FreeAddress(); err != nil {
		return err
	}
	// It ends with this code when it has assembled itself and wants to be
	// started anew, as its own shell script does.
	const assembled = 10
	for _, built := range []bool{false, true} {
		if k.process, err = startProcess("Keycloak", k.command(built)); err != nil {
			return err
		}
		err = k.waitReady()
		if err == nil {
			k.ForwardTo(k.addr)
			return nil
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != assembled {
			break
		}
	}
	_ = k.process.Kill()
	return fmt.Errorf("%w; it printed:\n%s", err, excerpt(k.process.Log.String()))
}

// command starts the program without the shell script before it, so that the
// process id is the program's.
func (k *Keycloak) command(built bool) *exec.Cmd {
	args := []string{
		"-Xms64m", "-Xmx512m",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Dkc.home.dir=" + k.home,
		"-Djboss.server.config.dir=" + filepath.Join(k.home, "conf"),
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
		"-Dpicocli.disable.closures=true",
	}
	if built {
		args = append(args, "-Dkc.config.built=true")
	}
	host, port, _ := strings.Cut(k.addr, ":")
	args = append(args, "-cp", filepath.Join(k.home, "lib", "quarkus-run.jar"),
		"io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start-dev", "--http-host="+host, "--http-port="+port, "--import-realm")
	cmd := exec.Command("java", args...)
	cmd.Dir = k.home
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME="+keycloakAdmin, "KC_BOOTSTRAP_ADMIN_PASSWORD="+keycloakAdmin)
	return cmd
}

func (k *Keycloak) waitReady() error {
	problem := eventually(keycloakPatience, func() string {
		select {
		case <-k.process.ended:
			return "" // looked at below
		default:
		}
		answer, err := http.Get("http://" + k.addr + "/realms/" + k.Realm)
		if err != nil {
			return err.Error()
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return answer.Status
		}
		return ""
	})
	select {
	case <-k.process.ended:
		return fmt.Errorf("Keycloak ended at its start: %w", k.process.err)
	default:
	}
	if problem != "" {
		return fmt.Errorf("Keycloak was not ready within %s: %s", keycloakPatience, problem)
	}
	return nil
}

// Stop ends the process. The relay stays and answers 502.
func (k *Keycloak) Stop() error { return k.process.Stop() }

// Close ends it for good.
func (k *Keycloak) Close() error {
	k.Relay.close()
	return k.process.Stop()
}

// Path is the path of an address below the issuer, as the relay counts it.
func (k *Keycloak) Path(below string) string { return "/realms/" + k.Realm + below }

// KeycloakTokenPath is the path of the token endpoint, below the issuer.
const KeycloakTokenPath = "/protocol/openid-connect/token"

// Login gets an access token for a user of a public client.
func (k *Keycloak) Login(t testing.TB, client, user, password string) string {
	t.Helper()
	return k.token(t, url.Values{"grant_type": {"password"}, "client_id": {client}, "username": {user}, "password": {password}})
}

// Token gets an access token for a client itself, with what it has without
// asking if the scope is empty.
func (k *Keycloak) Token(t testing.TB, client, secret, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return k.token(t, form)
}

// token asks the server itself, so that the relay counts only the gateway's
// calls.
func (k *Keycloak) token(t testing.TB, form url.Values) string {
	t.Helper()
	answer := exchange(t, k.form(t, KeycloakTokenPath, form))
	var token struct {
		Value string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &token); err != nil || token.Value == "" {
		t.Fatalf("the token endpoint answered %q", answer)
	}
	return token.Value
}

// Exchange exchanges a permission ticket for a requesting party token on
// behalf of the user of the access token. An earlier RPT's permissions
// are added. The error code is "" if it was granted.
func (k *Keycloak) Exchange(t testing.TB, accessToken, ticket, earlier string) (rpt, code string) {
	t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:uma-ticket"}, "ticket": {ticket}}
	if earlier != "" {
		form.Set("rpt", earlier)
	}
	request := k.form(t, KeycloakTokenPath, form)
	request.Header.Set("Authorization", "Bearer "+accessToken)
	return rptOf(t, request)
}

// form is a request to the server that says it came by way of the relay: the
// issuer in tokens is made of the Host header.
func (k *Keycloak) form(t testing.TB, below string, form url.Values) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+k.addr+k.Path(below), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = k.Relay.Addr
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// rptOf sends a request for an RPT.
func rptOf(t testing.TB, request *http.Request) (rpt, code string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var said struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || (said.Token == "") == (said.Error == "") {
		t.Fatalf("%s: %s, %+v, %v", request.URL, answer.Status, said, err)
	}
	return said.Token, said.Error
}

// keycloakAdmin is the name and the password of the administrator of an
// instance that listens on loopback for the time of a test.
const keycloakAdmin = "admin"

// Admin calls the admin API below the realm and decodes the answer into out,
// if that is not nil.
func (k *Keycloak) Admin(t testing.TB, method, below string, body, out any) {
	t.Helper()
	answer := k.admin(t, method, "/admin/realms/"+k.Realm+below, body)
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("%s %s answered %q: %v", method, below, answer, err)
	}
}

func (k *Keycloak) admin(t testing.TB, method, path string, body any) []byte {
	t.Helper()
	login, err := http.PostForm("http://"+k.addr+"/realms/master"+KeycloakTokenPath, url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {keycloakAdmin}, "password": {keycloakAdmin},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer login.Body.Close()
	var token struct {
		Value string `json:"access_token"`
	}
	if err := json.NewDecoder(login.Body).Decode(&token); err != nil || token.Value == "" {
		t.Fatalf("the administrator cannot log in: %s, %v", login.Status, err)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(method, "http://"+k.addr+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Value)
	request.Header.Set("Content-Type", "application/json")
	return exchange(t, request)
}

// SetLifespan sets the lifetime of the tokens issued from now on.
func (k *Keycloak) SetLifespan(t testing.TB, life time.Duration) {
	t.Helper()
	k.Admin(t, http.MethodPut, "", map[string]any{"accessTokenLifespan": int(life / time.Second)}, nil)
}

// SetRole assigns a realm role to a user, or removes it.
func (k *Keycloak) SetRole(t testing.TB, user, role string, has bool) {
	t.Helper()
	var users []struct{ ID string }
	k.Admin(t, http.MethodGet, "/users?exact=true&username="+url.QueryEscape(user), nil, &users)
	var described map[string]any
	k.Admin(t, http.MethodGet, "/roles/"+url.PathEscape(role), nil, &described)
	if len(users) != 1 {
		t.Fatalf("%d users are named %q", len(users), user)
	}
	method := http.MethodDelete
	if has {
		method = http.MethodPost
	}
	k.Admin(t, method, "/users/"+users[0].ID+"/role-mappings/realm", []any{described}, nil)
}

// Resources returns the names of the resources of a resource server, with
// their ids.
func (k *Keycloak) Resources(t testing.TB, client string) map[string]string {
	t.Helper()
	var all []map[string]any
	k.Admin(t, http.MethodGet, k.resourceServer(t, client)+"/resource?deep=true&first=0&max=1000", nil, &all)
	named := make(map[string]string, len(all))
	for _, each := range all {
		name, _ := each["name"].(string)
		named[name], _ = each["_id"].(string)
	}
	return named
}

// DeleteResource deletes a resource as an administrator would in the console.
func (k *Keycloak) DeleteResource(t testing.TB, client, id string) {
	t.Helper()
	k.Admin(t, http.MethodDelete, k.resourceServer(t, client)+"/resource/"+url.PathEscape(id), nil, nil)
}

func (k *Keycloak) resourceServer(t testing.TB, client string) string {
	t.Helper()
	var clients []struct{ ID string }
	k.Admin(t, http.MethodGet, "/clients?clientId="+url.QueryEscape(client), nil, &clients)
	if len(clients) != 1 {
		t.Fatalf("%d clients are named %q", len(clients), client)
	}
	return "/clients/" + clients[0].ID + "/authz/resource-server"
}

// keycloakHome returns the folder with the unpacked distribution, which is
// fetched from Maven Central if Maven does not have it yet.
func keycloakHome() (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("%w: Java 17 or later, which Keycloak runs on", ErrMissing)
	}
	home := filepath.Join(Root(), ".cache", "keycloak", "keycloak-"+keycloakVersion)
	if _, err := os.Stat(filepath.Join(home, "lib", "quarkus-run.jar")); err == nil {
		return home, nil
	}
	archive, err := keycloakArchive()
	if err != nil {
		return "", err
	}
	// Elsewhere first: a folder that is there is complete.
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", err
	}
	unpacked, err := os.MkdirTemp(filepath.Dir(home), "unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unpacked)
	if err := unzip(archive, unpacked); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", archive, err)
	}
	if err := os.RemoveAll(home); err != nil {
		return "", err
	}
	return home, os.Rename(filepath.Join(unpacked, filepath.Base(home)), home)
}

func keycloakArchive() (string, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	name := "keycloak-quarkus-dist-" + keycloakVersion + ".zip"
	archive := filepath.Join(user, ".m2", "repository", "org", "keycloak", "keycloak-quarkus-dist", keycloakVersion, name)
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("%w: Keycloak %s, and Maven to fetch it with", ErrMissing, keycloakVersion)
	}
	out, err := exec.Command(maven, "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get",
		"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+keycloakVersion+":zip", "-Dtransitive=false").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: Keycloak %s, which Maven could not fetch: %w\n%s", ErrMissing, keycloakVersion, err, excerpt(string(out)))
	}
	return archive, nil
}

func unzip(archive, dir string) error {
	files, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, each := range files.File {
		if !filepath.IsLocal(each.Name) {
			return fmt.Errorf("%q is outside of the archive", each.Name)
		}
		if err := unzipFile(each, filepath.Join(dir, each.Name)); err != nil {
			return err
		}
	}
	return nil
}

func unzipFile(packed *zip.File, path string) error {
	if packed.FileInfo().IsDir() {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := packed.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, packed.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
