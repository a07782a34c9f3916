// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func serve(t *testing.T, handle http.HandlerFunc) (*Client, string) {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	c := New("test", 200*time.Millisecond, "", nil)
	t.Cleanup(c.Close)
	return c, server.URL
}

func TestOneClientDoesNotOpenTheBreaker(t *testing.T) {
	asked := 0
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) { asked++; w.WriteHeader(http.StatusServiceUnavailable) })
	for range 4 * Failures {
		if _, err := c.Post(context.Background(), address, "one", nil, nil); err == nil || errors.Is(err, ErrOpen) {
			t.Fatalf("got %v", err)
		}
	}
	for i := range Failures {
		_, _ = c.Post(context.Background(), address, fmt.Sprint("client ", i), nil, nil)
	}
	before := asked
	if _, err := c.Post(context.Background(), address, "one", nil, nil); !errors.Is(err, ErrOpen) || asked != before {
		t.Errorf("got %v after %d questions, want %v", err, asked-before, ErrOpen)
	}
}

// What a client sends can make a policy fail: that says nothing about the server.
func TestAnAnswerIsNoEvidence(t *testing.T) {
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for i := range 4 * Failures {
		if _, err := c.Post(context.Background(), address, fmt.Sprint(i), nil, nil); err == nil || errors.Is(err, ErrOpen) {
			t.Fatalf("got %v", err)
		}
	}
}

// A client that leaves says nothing about the server either.
func TestAClientThatLeavesIsNoEvidence(t *testing.T) {
	release := make(chan struct{})
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	for i := range 2 * Failures {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if _, err := c.Post(ctx, address, fmt.Sprint(i), nil, nil); err == nil || errors.Is(err, ErrOpen) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
}

func TestASuccessClosesTheBreaker(t *testing.T) {
	fail := true
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if fail {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
	for i := range Failures - 1 {
		_, _ = c.Post(context.Background(), address, fmt.Sprint(i), nil, nil)
	}
	fail = false
	if answer, err := c.Post(context.Background(), address, "x", nil, []byte("{}")); err != nil || string(answer) != "{}" {
		t.Errorf("got %q, %v", answer, err)
	}
	fail = true
	if _, err := c.Post(context.Background(), address, "y", nil, nil); err == nil || errors.Is(err, ErrOpen) {
		t.Errorf("got %v", err)
	}
}
