// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/routemap"
)

// newRoutesCommand returns `caddy gluu routes`.
func newRoutesCommand() *cobra.Command {
	var g gateway
	var request string
	cmd := &cobra.Command{
		Use:   "routes [--request \"<method> <address>\"] [--address <address>] [--json]",
		Short: "Lists the handlers of a running gateway in their order",
		Long: `
Lists the sites of a running gateway, and the handlers of each in the order in
which they run. What answers without a decision before it is marked.

--request
    Also mark with > the handlers that a request would meet, for example
    "GET https://api.example.com/todos". The matchers of the running
    configuration are asked for a client without header fields; nothing is sent.
` + gatewayHelp + `
The exit code is 0, or 2 for an error.
`,
		Example: `  caddy gluu routes --request "GET https://api.example.com/todos"`,
		Args:    cobra.NoArgs,
	}
	g.register(cmd)
	cmd.Flags().StringVar(&request, "request", "", "Request whose handlers are marked, such as \"GET https://api.example.com/todos\"")
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		target := "/gluu/routes"
		if request != "" {
			target += "?" + url.Values{"request": {request}}.Encode()
		}
		return showAnswer(&g, cmd, target, printRoutes)
	})
}

// routesAnswer is what the admin endpoint answers.
type routesAnswer struct {
	Servers []routemap.Server `json:"servers"`
	Taken   *routemap.Taken   `json:"taken"`
}

func printRoutes(p *painter, answer *routesAnswer) {
	lane := &lane{painter: p, taken: answer.Taken}
	for _, server := range answer.Servers {
		for _, site := range server.Sites {
			hosts := strings.Join(site.Hosts, " ")
			if hosts == "" {
				hosts = "all hosts"
			}
			if site.Kind != "" {
				hosts += ", " + site.Kind
			}
			p.line("%s %s", p.bold(printable(hosts)), p.faint(printable(strings.Join(site.Listen, " "))))
			lane.route(site.Route, 0)
			p.line("")
		}
	}
	if answer.Taken != nil {
		for _, condition := range answer.Taken.NotAsked {
			p.line("not asked, and taken not to hold: %s", printable(condition))
		}
	}
	if answer.Taken != nil && answer.Taken.Note != "" {
		p.line("%s", printable(answer.Taken.Note))
	}
}

// lane prints the handlers of a site below each other.
type lane struct {
	*painter
	taken *routemap.Taken
}

// route prints the handlers of a route. Those under a condition are indented.
func (l *lane) route(r *routemap.Route, depth int) {
	if r.Match != nil {
		l.line("  %s%s", strings.Repeat("  ", depth), l.faint(printable(strings.Join(r.Match, ", or "))))
		depth++
	}
	for _, h := range r.Handle {
		if h.Role != routemap.Contains || h.Named != "" {
			l.handler(h, depth)
		}
		for _, inner := range h.Routes {
			l.route(inner, depth)
		}
	}
}

// openings are texts for handlers that requests may get to without a decision.
var openings = map[routemap.Protection]string{
	routemap.None:   "unprotected",
	routemap.Partly: "partly unprotected",
}

func (l *lane) handler(h *routemap.Handler, depth int) {
	mark := " "
	if l.taken != nil && slices.Contains(l.taken.Handlers, h.Pointer) {
		mark = ">"
	}
	text := h.Name
	if h.Summary != "" {
		text += " " + l.faint(printable(h.Summary))
	}
	if open := openings[h.Protection]; open != "" {
		text += " " + l.warn("! "+open)
	}
	l.line("%s %s%s", mark, strings.Repeat("  ", depth), text)
}
