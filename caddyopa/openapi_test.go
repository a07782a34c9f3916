// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/explain"
)

// petAPI is a document whose security a gateway without a policy would refuse: an
// API key, and an operation with nothing. extra is added to its paths.
func petAPI(extra string) string {
	return `openapi: 3.1.0
info: {title: Pets, version: '1'}
servers: [{url: https://api.example/v1}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}}
security: [{key: []}]
paths:
  /pets:
    get: {operationId: listPets}
    post: {operationId: addPet, security: []}
  /pets/{id}:
    get: {operationId: getPet}
    delete: {}
` + extra
}

// replace writes a document in one step, as an editor or a deployment does it.
func (w *world) replace(name, document string) string {
	w.Helper()
	temporary := w.file(name+".new", document)
	if err := os.Rename(temporary, strings.TrimSuffix(temporary, ".new")); err != nil {
		w.Fatal(err)
	}
	return strings.TrimSuffix(temporary, ".new")
}

// byOperation lets clients call the operations of its data, and shows what it saw.
const byOperation = `package httpapi.authz

allow := input.operation in {"listPets", "getPet", "DELETE /pets/{id}"}

response_headers_to_add := {"x-saw": json.marshal([input.operation, input.rule, input.captures])}
`

// The policy sees which operation a request is, and so do records and metrics. The
// security of the document has no effect.
func TestThePolicySeesTheOperation(t *testing.T) {
	w := newWorld(t)
	document := w.file("openapi.yaml", petAPI(""))
	w.run(w.config("opa {\n policy "+w.file("policy.rego", byOperation)+"\n}",
		"handle /metrics {\n metrics\n}\nhandle {\n route {\n "+authenticate+"gluu_opa_pep {\n timeout 10s\n log_grants\n openapi "+document+"\n}\nrequest_header X-Operation {gluu.operation}\n}\n}"))
	for _, test := range []struct {
		method, path string
		status       int
		operation    string
		saw          string
	}{
		{"GET", "/v1/pets", 200, "listPets", `["listPets","/v1/pets",[]]`},
		{"HEAD", "/v1/pets", 200, "listPets", `["listPets","/v1/pets",[]]`},
		{"POST", "/v1/pets", 403, "addPet", `["addPet","/v1/pets",[]]`},
		{"GET", "/v1/pets/7", 200, "getPet", `["getPet","/v1/pets/?",["7"]]`},
		{"GET", "/v1//pets/%37", 200, "getPet", `["getPet","/v1/pets/?",["7"]]`},
		{"DELETE", "/v1/pets/7", 200, "DELETE /pets/{id}", `["DELETE /pets/{id}","/v1/pets/?",["7"]]`},
		{"GET", "/v1/pets/", 403, "", `[null,null,[]]`}, // a parameter is never empty
		{"GET", "/pets", 403, "", `[null,null,[]]`},
		{"PUT", "/v1/pets/7", 403, "", `[null,null,[]]`},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			granted, refused := len(caddytest.Records(t, w.dir, "request granted")), len(caddytest.Records(t, w.dir, "request refused"))
			got := w.send(test.method, test.path, "good", "", nil)
			if got.StatusCode != test.status || got.Header.Get("X-Saw") != test.saw {
				t.Errorf("got %d, the policy saw %s, want %d, %s", got.StatusCode, got.Header.Get("X-Saw"), test.status, test.saw)
			}
			records := append(caddytest.Records(t, w.dir, "request granted")[granted:], caddytest.Records(t, w.dir, "request refused")[refused:]...)
			if len(records) != 1 {
				t.Fatalf("got the records %v, want one", records)
			}
			if operation, _ := records[0]["operation"].(string); operation != test.operation {
				t.Errorf("the record has the operation %q, want %q", operation, test.operation)
			}
			if test.status == 200 && w.last().Header.Get("X-Operation") != test.operation {
				t.Errorf("{gluu.operation} is %q, want %q", w.last().Header.Get("X-Operation"), test.operation)
			}
		})
	}
	if metrics := w.get("/metrics", "").text; !strings.Contains(metrics, `gluu_operation{operation="getPet"} 2`) {
		t.Errorf("the metric gluu_operation is wrong:\n%s", metrics)
	}
}

// Each handler with a document or with rules shows its own to its policy, also if the
// request is not an operation of it, and leaves what the next handlers, the records and
// placeholders see. One without a document sees what the last one before it has left.
func TestEachHandlerDecidesByItsOwnDocument(t *testing.T) {
	shown := func(header string) string {
		return strings.ReplaceAll("package httpapi.authz\n\nallow := true\n\nresponse_headers_to_add := {\"HEADER\": json.marshal([input.operation, input.rule, input.captures])}\n", "HEADER", header)
	}
	const nothing = `[null,null,[]]`
	for _, test := range []struct {
		name, handlers string
		want           map[string][3]string // by path: what the policies saw, and what was left
	}{
		{"two policies with documents", "gluu_opa_pep one {\n timeout 10s\n openapi PETS\n}\ngluu_opa_pep two {\n timeout 10s\n openapi SHOPS\n}", map[string][3]string{
			"/v1/pets/7": {`["getPet","/v1/pets/?",["7"]]`, `["animal","/v1/?/?",["pets","7"]]`, "animal /v1/?/?"},
			"/v1/pets":   {`["listPets","/v1/pets",[]]`, nothing, ""},
			"/v1/a/b":    {nothing, `["animal","/v1/?/?",["a","b"]]`, "animal /v1/?/?"},
			"/v1/a":      {nothing, nothing, ""},
		}},
		{"a policy with a document, and one without", "gluu_opa_pep one {\n timeout 10s\n openapi PETS\n}\ngluu_opa_pep two {\n timeout 10s\n}", map[string][3]string{
			"/v1/pets/7": {`["getPet","/v1/pets/?",["7"]]`, `["getPet","/v1/pets/?",["7"]]`, "getPet /v1/pets/?"},
			"/v1/a/b":    {nothing, nothing, ""},
		}},
		{"rules, a policy without a document, and one with", "gluu_oauth_pep {\n path /v1/?? {\n  GET authenticated\n }\n}\ngluu_opa_pep one {\n timeout 10s\n}\ngluu_opa_pep two {\n timeout 10s\n openapi PETS\n}", map[string][3]string{
			"/v1/pets/7": {`[null,"/v1/??",[]]`, `["getPet","/v1/pets/?",["7"]]`, "getPet /v1/pets/?"},
			"/v1/a":      {`[null,"/v1/??",[]]`, nothing, ""},
		}},
		{"a policy with a document, rules, and a policy without", "gluu_opa_pep one {\n timeout 10s\n openapi PETS\n}\ngluu_oauth_pep {\n path /v1/?? {\n  GET authenticated\n }\n}\ngluu_opa_pep two {\n timeout 10s\n}", map[string][3]string{
			"/v1/pets/7": {`["getPet","/v1/pets/?",["7"]]`, `[null,"/v1/??",[]]`, "/v1/??"},
		}},
		{"two documents of rules, and a policy without", "gluu_oauth_pep {\n openapi OPENPETS {\n  unlisted authenticated\n }\n}\ngluu_oauth_pep {\n openapi OPENSHOPS\n}\ngluu_opa_pep one {\n timeout 10s\n}\ngluu_opa_pep two {\n timeout 10s\n}", map[string][3]string{
			"/v1/pets/7": {`["animal","/v1/?/?",["pets","7"]]`, `["animal","/v1/?/?",["pets","7"]]`, "animal /v1/?/?"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			shops := "openapi: 3.1.0\ninfo: {title: Shops, version: '1'}\nservers: [{url: https://api.example/v1}]\npaths:\n  /{shop}/{animal}:\n    get: {operationId: animal, security: SECURITY}\n"
			handlers := strings.NewReplacer(
				"OPENPETS", w.file("openpets.yaml", strings.Replace(petAPI(""), "security: [{key: []}]", "security: []", 1)),
				"OPENSHOPS", w.file("openshops.yaml", strings.Replace(shops, "SECURITY", "[]", 1)),
				"PETS", w.file("pets.yaml", petAPI("")),
				"SHOPS", w.file("shops.yaml", strings.Replace(shops, "SECURITY", "[]", 1)),
			).Replace(test.handlers)
			w.run(w.config("opa one {\n policy "+w.file("one.rego", shown("x-one"))+"\n}\nopa two {\n policy "+w.file("two.rego", shown("x-two"))+"\n}",
				"route {\n"+authenticate+handlers+"\nrequest_header X-Left \"{gluu.operation} {gluu.rule}\"\n}"))
			for path, want := range test.want {
				got := w.get(path, "good")
				if got.StatusCode != 200 {
					t.Fatalf("%s: got %d %s", path, got.StatusCode, got.text)
				}
				if saw := [3]string{got.Header.Get("X-One"), got.Header.Get("X-Two"), w.last().Header.Get("X-Left")}; saw != want {
					t.Errorf("%s: the policies saw and left\n%q, want\n%q", path, saw, want)
				}
			}
		})
	}
}

// A policy must not be granted by what it says about another handler's document: the
// request is refused, and the record has what this handler knows.
func TestAnOperationOfAnotherDocumentGrantsNothing(t *testing.T) {
	w := newWorld(t)
	pets, other := w.file("pets.yaml", petAPI("")), w.file("other.yaml", strings.Replace(petAPI(""), "/v1", "/v2", 1))
	w.run(w.config("opa first {\n policy "+w.file("first.rego", allowAll)+"\n}\nopa {\n policy "+w.file("policy.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if input.rule == \"/v1/pets/?\"\n\nallow if input.captures == [\"7\"]\n\nallow if input.operation == \"getPet\"\n")+"\n}",
		"route {\n"+authenticate+"gluu_opa_pep first {\n timeout 10s\n openapi "+pets+"\n}\ngluu_opa_pep {\n timeout 10s\n openapi "+other+"\n}\n}"))
	w.wantReason(403, "policy_denied", w.get("/v1/pets/7", "good"))
	if records := caddytest.Records(t, w.dir, "request refused"); len(records) != 1 || records[0]["rule"] != "" || records[0]["operation"] != nil {
		t.Errorf("the record is %v, want neither a rule nor an operation", records)
	}
	if got := w.get("/v2/pets/7", "good"); got.StatusCode != 200 {
		t.Errorf("an operation of its own: got %d %s", got.StatusCode, got.text)
	}
}

// The documents of Kong and Envoy have the operation beside their own members, and a
// server sees it too.
func TestEveryDeciderSeesTheOperation(t *testing.T) {
	for _, input := range []string{"gluu", "kong", "envoy"} {
		t.Run(input, func(t *testing.T) {
			w := newWorld(t)
			w.start("package httpapi.authz\n\nallow if input.operation == \"getPet\"\n", "input "+input+"\nopenapi "+w.file("openapi.yaml", petAPI("")))
			if got := w.get("/v1/pets/7", "good"); got.StatusCode != 200 {
				t.Errorf("the operation: got %d %s", got.StatusCode, got.text)
			}
			if got := w.get("/v1/pets", "good"); got.StatusCode != 403 {
				t.Errorf("another operation: got %d %s", got.StatusCode, got.text)
			}
		})
	}
	for _, test := range []struct {
		option string
		answer string
		find   func(sent map[string]any) any
	}{
		{"url", `{"result": true}`, func(sent map[string]any) any { return sent["input"].(map[string]any)["operation"] }},
		{"authzen", `{"decision": true}`, func(sent map[string]any) any {
			return sent["resource"].(map[string]any)["properties"].(map[string]any)["operation"]
		}},
	} {
		t.Run(test.option, func(t *testing.T) {
			var operation atomic.Value
			decider := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				var sent map[string]any
				if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
					t.Error(err)
				}
				operation.Store(test.find(sent))
				rw.Header().Set("Content-Type", "application/json")
				_, _ = rw.Write([]byte(test.answer))
			}))
			t.Cleanup(decider.Close)
			w := newWorld(t)
			w.run(w.config("", authenticate+"gluu_opa_pep {\n "+test.option+" "+decider.URL+"\n timeout 10s\n openapi "+w.file("openapi.yaml", petAPI(""))+"\n}"))
			if got := w.get("/v1/pets/7", "good"); got.StatusCode != 200 || operation.Load() != "getPet" {
				t.Errorf("got %d, the server saw %v, want getPet", got.StatusCode, operation.Load())
			}
		})
	}
}

// A changed document comes into force under load without a refused request, and is no
// part of what was remembered; a broken one keeps the last good one and says so.
func TestAChangedDocumentOfOperationsIsWatched(t *testing.T) {
	w := newWorld(t)
	document := w.replace("openapi.yaml", petAPI(""))
	w.start("package httpapi.authz\n\nallow if input.operation in {\"listPets\", \"new\"}\n", "cache 1m\nopenapi "+document+" {\n watch\n}")
	if got := w.get("/v1/new", "good"); got.StatusCode != 403 {
		t.Fatalf("before the change: got %d", got.StatusCode)
	}
	var workers sync.WaitGroup
	var sent atomic.Int64
	done := make(chan struct{})
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := w.get("/v1/pets", "good"); got.StatusCode != 200 {
					t.Errorf("under load: got %d %s", got.StatusCode, got.text)
					return
				}
				sent.Add(1)
			}
		})
	}
	added := petAPI("  /new:\n    get: {operationId: new}\n")
	w.replace("openapi.yaml", added)
	await(t, "the added operation", func() bool { return w.get("/v1/new", "good").StatusCode == 200 })
	w.replace("openapi.yaml", added[:len(added)-10])
	await(t, "a line about the broken document", func() bool {
		return len(caddytest.Records(t, w.dir, "the changed OpenAPI document cannot be used; the last good one stays in force")) == 1
	})
	if got := w.get("/v1/new", "good"); got.StatusCode != 200 {
		t.Errorf("with a broken document: got %d", got.StatusCode)
	}
	w.replace("openapi.yaml", petAPI(""))
	await(t, "the former document", func() bool { return w.get("/v1/new", "good").StatusCode == 403 })
	close(done)
	workers.Wait()
	if sent.Load() < 20 {
		t.Errorf("only %d requests were sent in the meantime", sent.Load())
	}
}

// An explanation names the operation and counts nothing.
func TestAnExplanationNamesTheOperation(t *testing.T) {
	w := newWorld(t)
	document := w.file("openapi.yaml", petAPI(""))
	w.run(w.config("opa {\n policy "+w.file("policy.rego", byOperation)+"\n}", authenticate+"gluu_opa_pep {\n timeout 10s\n openapi "+document+"\n}"))
	d := w.explained(explain.Question{Token: "good", Request: "GET /v1/pets/7"})
	if d.Decision != explain.Allow || d.Operation != "getPet" {
		t.Errorf("got %s of the operation %q, want allow of getPet", d.Decision, d.Operation)
	}
	if d = w.explained(explain.Question{Token: "good", Request: "POST /v1/pets"}); d.Decision != explain.Deny || d.Operation != "addPet" {
		t.Errorf("got %s of the operation %q, want deny of addPet", d.Decision, d.Operation)
	}
}

// What has no meaning for a policy is refused, with its line.
func TestWrongOptionsOfOperationsAreRefused(t *testing.T) {
	w := &world{TB: t, dir: tempDir(t)}
	good, bad := w.file("good.yaml", petAPI("")), w.file("bad.yaml", petAPI("  /pets/{name}:\n    get: {operationId: byName}\n"))
	for _, test := range []struct {
		block string
		line  int
		want  string
	}{
		{"openapi", 2, "takes exactly one value"},
		{"openapi " + w.dir + "/none.yaml", 2, "no such file"},
		{"openapi " + bad, 2, `bad.yaml:14: operation "byName": GET "/pets/{name}" and "/pets/{id}" in line 11 are one rule`},
		{"openapi " + good + "\nopenapi " + good, 3, "openapi is set twice"},
		{"openapi " + good + " {\n security_scheme key\n}", 3, "security_scheme has no effect: the policy decides"},
		{"openapi " + good + " {\n unlisted deny\n}", 3, "unlisted has no effect: the policy decides"},
		{"openapi " + good + " {\n prefix role:\n}", 3, "prefix has no effect: the policy decides"},
		{"openapi " + good + " {\n base_path x\n}", 3, "base_path must be servers, none or a path"},
		{"openapi " + good + " {\n base_path none\n base_path none\n}", 4, "base_path is set twice"},
		{"openapi " + good + " {\n watch perhaps\n}", 3, "true or false"},
		{"openapi " + good + " {\n base /x\n}", 3, `there is no "base" in openapi: it has base_path, watch`},
	} {
		if _, err := parse("gluu_opa_pep {\n" + test.block + "\n}"); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:"+strconv.Itoa(test.line)) {
			t.Errorf("%q: got %v, want %q and the line %d", test.block, err, test.want, test.line)
		}
	}
	for text, want := range map[string]string{
		`{"openapi": {"file": "a.yaml", "security_scheme": ["x"]}}`: "security_scheme",
		`{"openapi": {"file": "a.yaml", "unlisted": "public"}}`:     "unlisted",
	} {
		if err := json.Unmarshal([]byte(text), new(PEP)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error about %s", text, err, want)
		}
	}
}

func TestTheOptionsOfOperations(t *testing.T) {
	w := &world{TB: t, dir: tempDir(t)}
	document := w.file("openapi.yaml", petAPI(""))
	p := new(PEP)
	if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("gluu_opa_pep {\n openapi " + document + " {\n base_path /api\n watch\n }\n}")); err != nil {
		t.Fatal(err)
	}
	if o := p.OpenAPI; o == nil || o.File != document || o.BasePath != "/api" || !o.Watch {
		t.Errorf("got %+v", p.OpenAPI)
	}
}

// Templates that overlap are different operations whatever they require, so they are
// warned about.
func TestOverlappingOperationsAreWarnedAbout(t *testing.T) {
	w := newWorld(t)
	w.start(allowAll, "openapi "+w.file("openapi.yaml", petAPI("  /{shop}/latest:\n    get: {operationId: latest}\n")))
	records := caddytest.Records(t, w.dir, "the OpenAPI document probably has a mistake")
	if len(records) != 1 || !strings.Contains(records[0]["warning"].(string), `"/v1/pets/latest" is a path of both "/{shop}/latest" and "/pets/{id}" in line 11, which are different operations`) {
		t.Errorf("got %v", records)
	}
}

// A request whose operation is unknown, because an expression in a path took too long,
// is not shown to the policy as one that is none.
func TestARequestOfAnUnknownOperationIsRefused(t *testing.T) {
	w := newWorld(t)
	document := w.file("openapi.yaml", `openapi: 3.1.0
info: {title: Slow, version: '1'}
paths:
  /x/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, pattern: '^(?=a)(?:a|a|aa)+b$'}}]
    get: {operationId: slow}
`)
	w.start("package httpapi.authz\n\nallow if not input.operation\n\nallow if input.operation in {null, \"slow\"}\n", "openapi "+document)
	if got := w.get("/x/aab", "good"); got.StatusCode != 200 {
		t.Errorf("a quick one: got %d %s", got.StatusCode, got.text)
	}
	w.wantReason(500, "policy_error", w.get("/x/"+strings.Repeat("a", 60), "good"))
}
