// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

func TestChromiumRunsAPage(t *testing.T) {
	browser := Chromium(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<title>t</title><p id="p"></p><script>document.getElementById("p").textContent = "sum " + (20 + 22)</script>`)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, append(ChromiumFlags(t.TempDir()), "--dump-dom", server.URL)...)
	var messages strings.Builder
	cmd.Stderr = &messages
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, messages.String())
	}
	if want := "sum 42"; !strings.Contains(string(got), want) {
		t.Errorf("the page after its script ran: got %q, want it to contain %q", got, want)
	}
}

func TestChromiumIsMissing(t *testing.T) {
	t.Setenv("CHROMIUM", "no-such-browser")
	path, err := findChromium()
	if !errors.Is(err, ErrMissing) {
		t.Fatalf("got path %q and error %v, want ErrMissing", path, err)
	}
	if want := `"no-such-browser"`; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want the error to name %s", err, want)
	}
}
