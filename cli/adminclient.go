// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-gluu/gateway/internal/liveconfig"
)

// adminClient talks to the admin endpoint of a running gateway. Unlike the client of
// Caddy's own commands it keeps its connection, has a context, and shows answers with
// errors.
type adminClient struct {
	address string // as people write it
	origin  string
	http    *http.Client
}

// newAdminClient makes a client for an address, "" for the one that Caddy's own
// commands would take.
func newAdminClient(address string) (*adminClient, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	if err != nil {
		return nil, err
	}
	origin, transport, err := liveconfig.Transport(address)
	if err != nil {
		return nil, err
	}
	return &adminClient{address, origin, &http.Client{Transport: transport}}, nil
}

const (
	maxAdminAnswer = 64 << 20 // bytes
	adminTimeout   = time.Minute
)

// do sends a body as JSON, none if it is nil, and returns the answer, also one with an
// error. The caller closes its body.
func (c *adminClient) do(ctx context.Context, method, path string, header http.Header, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.origin+path, reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Origin", c.origin)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(request.Header, header)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway at %s: %w; write its admin address with --address", c.address, err)
	}
	return response, nil
}

// send is do with a limit of time, and reads the answer.
func (c *adminClient) send(ctx context.Context, method, path string, body any) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	response, err := c.do(ctx, method, path, nil, body)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	return response.StatusCode, answer, err
}

// ask is send for questions: an answer with an error is an error.
func (c *adminClient) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	status, answer, err := c.send(ctx, method, path, body)
	if err == nil && status >= http.StatusBadRequest {
		return nil, c.refused(status, answer)
	}
	return answer, err
}

// refused says what an answer with an error says.
func (c *adminClient) refused(status int, answer []byte) error {
	return fmt.Errorf("the gateway at %s answered %d: %s", c.address, status, messageOf(answer))
}

// messageOf returns what an answer with an error says.
func messageOf(answer []byte) string {
	var known struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(answer, &known) != nil || known.Message+known.Error == "" {
		known.Message = string(bytes.TrimSpace(answer[:min(len(answer), 200)]))
	}
	return printable(known.Message + known.Error)
}
