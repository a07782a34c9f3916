// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// HTTP3 returns a client that speaks HTTP/3, each request on a connection of
// its own. Names keep their spelling but for the case, which HTTP/3 has none
// of. The certificate is the test's own, so it is not checked.
func HTTP3(addr string) Client { return http3Client{addr} }

type http3Client struct{ addr string }

func (http3Client) Protocol() string { return "HTTP/3" }

func (c http3Client) Do(ctx context.Context, request Request) (*Response, error) {
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://"+c.addr+request.Target, strings.NewReader(request.Body))
	if err != nil {
		return nil, err
	}
	if request.Body == "" {
		r.Body = nil
	}
	for _, field := range request.Fields {
		if strings.EqualFold(field.Name, "Host") {
			r.Host = field.Value
			continue
		}
		// Not Add: it would write the name in its own way.
		r.Header[field.Name] = append(r.Header[field.Name], field.Value)
	}
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: patience},
	}
	defer transport.Close()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("over HTTP/3: %w", err)
	}
	return readResponse(answer)
}
