// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// Config changes or reads the running configuration through Caddy's admin
// API and fails the test if that is refused. The path is below /config/, the
// body is sent as JSON (nil: none). What is asked for holds for every
// connection that is made after it.
func (g *Gateway) Config(method, path string, body any) []byte {
	g.t.Helper()
	status, answer := g.AdminCall(method, "/config/"+path, body)
	if status >= 300 {
		g.t.Fatalf("%s /config/%s: %d %s", method, path, status, answer)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	if err := testenv.AwaitOneListener(ctx, g.Addr); err != nil {
		g.t.Fatal(err)
	}
	return answer
}

// AdminCall sends a request to the admin endpoint.
func (g *Gateway) AdminCall(method, path string, body any) (status int, answer []byte) {
	g.t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			g.t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, "http://"+g.Admin+path, content)
	if err != nil {
		g.t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		g.t.Fatal(err)
	}
	return response.StatusCode, answer
}

// HandlerPath finds a handler in the running configuration and returns its
// path below /config/. It fails the test unless there is exactly one.
func (g *Gateway) HandlerPath(name string) string {
	g.t.Helper()
	var config any
	if err := json.Unmarshal(g.Config(http.MethodGet, "", nil), &config); err != nil {
		g.t.Fatal(err)
	}
	var paths []string
	findHandlers(config, "", name, &paths)
	if len(paths) != 1 {
		g.t.Fatalf("the configuration has %d handlers %q, at %q", len(paths), name, paths)
	}
	return paths[0]
}

func findHandlers(node any, path, name string, found *[]string) {
	switch node := node.(type) {
	case map[string]any:
		if node["handler"] == name {
			*found = append(*found, path)
		}
		for key, child := range node {
			findHandlers(child, join(path, key), name, found)
		}
	case []any:
		for i, child := range node {
			findHandlers(child, join(path, strconv.Itoa(i)), name, found)
		}
	}
}

func join(path, element string) string {
	if path == "" {
		return element
	}
	return path + "/" + element
}
