// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/visible"
)

// gateway is a running gateway, asked at its admin endpoint.
type gateway struct {
	address string
	json    bool
}

func (g *gateway) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.address, "address", "", "Address of the running gateway's admin endpoint")
	cmd.Flags().BoolVar(&g.json, "json", false, "Print JSON, as the admin endpoint answers")
}

// gatewayHelp describes the flags of register.
const gatewayHelp = `
--address
    The address of the running gateway's admin endpoint; localhost:2019 if left
    out.

--json
    Print what the admin endpoint answers.
`

// open sends a request, and returns the body of the answer.
func (g *gateway) open(method, target string, header http.Header, body io.Reader) (io.ReadCloser, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(g.address, nil, "", "")
	if err != nil {
		return nil, err
	}
	response, err := caddycmd.AdminAPIRequest(address, method, target, header, body)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway at %s: %w; write its admin address with --address", address, err)
	}
	return response.Body, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// showAnswer asks for a resource and prints it: as it came, or by a function that gets it
// in a value.
func showAnswer[T any](g *gateway, cmd *cobra.Command, target string, show func(*painter, *T)) (int, error) {
	body, err := g.open(http.MethodGet, target, nil, nil)
	if err != nil {
		return exitError, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return exitError, err
	}
	if g.json {
		_, err = cmd.OutOrStdout().Write(visible.JSON(text))
		return exitYes, err
	}
	var answer T
	if err := json.Unmarshal(text, &answer); err != nil {
		return exitError, fmt.Errorf("reading the answer of %s: %w", target, err)
	}
	show(newPainter(cmd.OutOrStdout()), &answer)
	return exitYes, nil
}
