// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newCompareCommand returns `caddy gluu compare`.
func newCompareCommand() *cobra.Command {
	var c comparison
	command := &cobra.Command{
		Use:   "compare --old <url> --new <url> <file>",
		Short: "Sends the same requests to two gateways and prints where they differ",
		Long: `
Sends each request of a file to two gateways, for example to Kong and to the one
that is to replace it, and prints the differences in status, in the headers of
the answer, and in the identity headers that an echoing upstream has received.

The file has one JSON object a line:

	{"method": "GET", "url": "/todos/1", "host": "api.example.com", "headers": {"Authorization": "Bearer ..."}, "body": ""}

url is required. Requests are sent one after the other, the old gateway first;
those that change something change it twice.

Compared are the status and the headers of the answer that say what the gateway
has decided: redirects, challenges, CORS, limits, the name of the route (if both
gateways have KONG_ALLOW_DEBUG_HEADER=on), those of --header. If both answers are JSON objects with a member
"headers", as of httpbin and other echo servers, the identity headers in it are
compared too: X-Consumer-*, X-Anonymous-Consumer, X-Credential-Identifier,
X-Authenticated-*, X-OAuth-*, X-RPT-*, X-Forwarded-Port, -Prefix and the like, Host.

--old, --new
    The addresses of the gateways: http://localhost:8000
--header <name>
    A further header of the answers to compare. May be repeated.
--timeout <duration>
    How long an answer may take. Default: 10s
--insecure
    Do not verify the certificates of the gateways.

Exits with 0 if there is no difference, 1 if there is one, and 2 if the
requests could not be read or sent.
`,
		Example: `  caddy gluu compare --old http://localhost:8000 --new http://localhost:9000 requests.jsonl`,
		Args:    cobra.ExactArgs(1),
	}
	flags := command.Flags()
	flags.StringVar(&c.old, "old", "", "Address of the gateway that is to be replaced")
	flags.StringVar(&c.new, "new", "", "Address of the new gateway")
	flags.StringArrayVar(&c.headers, "header", nil, "Further header of the answers to compare")
	flags.DurationVar(&c.timeout, "timeout", 10*time.Second, "How long an answer may take")
	flags.BoolVar(&c.insecure, "insecure", false, "Do not verify the certificates of the gateways")
	return asCommand(command, []string{"old", "new"}, func(cmd *cobra.Command, args []string) (int, error) {
		return c.run(cmd.Context(), cmd.OutOrStdout(), args[0])
	})
}

// comparison is what the flags say.
type comparison struct {
	old, new string
	headers  []string
	timeout  time.Duration
	insecure bool
}

// comparedRequest is a line of the file.
type comparedRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Host    string            `json:"host"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (c *comparison) run(ctx context.Context, out io.Writer, name string) (int, error) {
	for flag, address := range map[string]string{"old": c.old, "new": c.new} {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return exitError, fmt.Errorf("--%s: %q is not the address of a gateway: write for example http://localhost:8000", flag, address)
		}
	}
	file, err := os.Open(name)
	if err != nil {
		return exitError, err
	}
	defer func() { _ = file.Close() }()
	requests, different := 0, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		request, err := parseCompared(lines.Bytes())
		if err != nil {
			return exitError, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		differences, err := c.compare(ctx, request)
		if err != nil {
			return exitError, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		requests++
		if len(differences) > 0 {
			different++
			_, _ = fmt.Fprintf(out, "%s:%d: %s %s\n  %s\n", name, number, request.Method, request.URL, strings.Join(differences, "\n  "))
		}
	}
	if err := lines.Err(); err != nil {
		return exitError, err
	}
	_, _ = fmt.Fprintf(out, "%d requests, %d different\n", requests, different)
	if different > 0 {
		return exitNo, nil
	}
	return exitYes, nil
}

func parseCompared(line []byte) (*comparedRequest, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	request := comparedRequest{Method: http.MethodGet}
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("is not a request: %w; write for example {\"method\": \"GET\", \"url\": \"/todos\"}", err)
	}
	if !strings.HasPrefix(request.URL, "/") {
		return nil, fmt.Errorf("url: %q does not begin with a slash: write path and query alone, and the host in host", request.URL)
	}
	return &request, nil
}

// compare sends a request to both gateways.
func (c *comparison) compare(ctx context.Context, request *comparedRequest) ([]string, error) {
	old, err := c.send(ctx, c.old, request)
	if err != nil {
		return nil, err
	}
	current, err := c.send(ctx, c.new, request)
	if err != nil {
		return nil, err
	}
	var differences []string
	differ := func(what string, a, b any) {
		if fmt.Sprint(a) != fmt.Sprint(b) {
			differences = append(differences, fmt.Sprintf("%s: old %q, new %q", what, fmt.Sprint(a), fmt.Sprint(b)))
		}
	}
	differ("status", old.status, current.status)
	for _, name := range names(old.header, current.header, func(name string) bool { return c.isCompared(name) }) {
		differ(name, c.shown(old.header, name, c.old), c.shown(current.header, name, c.new))
	}
	if old.echoed != nil && current.echoed != nil {
		for _, name := range names(old.echoed, current.echoed, isIdentity) {
			differ("upstream "+name, old.echoed.Get(name), current.echoed.Get(name))
		}
	}
	return differences, nil
}

// shown is the value of a header. The gateway's own address in a redirect is
// not a difference.
func (c *comparison) shown(header http.Header, name, gateway string) string {
	value := strings.Join(header.Values(name), ", ")
	if name == "Location" {
		value = strings.TrimPrefix(value, strings.TrimSuffix(gateway, "/"))
	}
	return value
}

// answered is what a gateway has answered.
type answered struct {
	status int
	header http.Header
	echoed http.Header // what the upstream has received; nil: unknown
}

func (c *comparison) send(ctx context.Context, gateway string, request *comparedRequest) (*answered, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, request.Method, strings.TrimSuffix(gateway, "/")+request.URL, strings.NewReader(request.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range request.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Kong-Debug", "1")
	if request.Host != "" {
		r.Host = request.Host
	}
	res, err := c.client().Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // it names the URL, which may have secrets
		}
		return nil, fmt.Errorf("%s does not answer: %w", gateway, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	return &answered{res.StatusCode, res.Header, echoedHeaders(body)}, nil
}

func (c *comparison) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	if c.insecure {
		transport.TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // asked for by a flag
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// echoedHeaders returns the headers that an echo server has received.
func echoedHeaders(body []byte) http.Header {
	var echo struct {
		Headers map[string]any `json:"headers"`
	}
	if json.Unmarshal(body, &echo) != nil || echo.Headers == nil {
		return nil
	}
	header := make(http.Header, len(echo.Headers))
	for name, value := range echo.Headers {
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		header.Set(name, fmt.Sprint(value))
	}
	return header
}

// names returns those that one of two sets of headers has, in order.
func names(a, b http.Header, is func(string) bool) (list []string) {
	for _, header := range []http.Header{a, b} {
		for name := range header {
			if is(name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// isCompared reports whether a header of the answer says what a gateway has
// decided. What is left of a limit is not compared: it differs by time.
func (c *comparison) isCompared(name string) bool {
	return slices.ContainsFunc(c.headers, func(h string) bool { return strings.EqualFold(h, name) }) ||
		slices.Contains([]string{"Location", "Allow", "Www-Authenticate", "Content-Type", "Ratelimit-Limit"}, name) ||
		name == "Kong-Route-Name" || hasAnyPrefix(name, "Access-Control-", "X-Ratelimit-Limit-")
}

func isIdentity(name string) bool {
	return name == "Host" || name == "X-Anonymous-Consumer" || name == "X-Credential-Identifier" ||
		hasAnyPrefix(name, "X-Consumer-", "X-Authenticated-", "X-Oauth-", "X-Rpt-", "X-Forwarded-P")
}

func hasAnyPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
