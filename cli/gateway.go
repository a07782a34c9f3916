// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

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

// ask returns the answer to a question without a body.
func (g *gateway) ask(ctx context.Context, method, target string) ([]byte, error) {
	client, err := newAdminClient(g.address)
	if err != nil {
		return nil, err
	}
	return client.ask(ctx, method, target, nil)
}

// showAnswer asks for a resource and prints it: as it came, or by a function that gets it
// in a value.
func showAnswer[T any](g *gateway, cmd *cobra.Command, target string, show func(*painter, *T)) (int, error) {
	text, err := g.ask(cmd.Context(), http.MethodGet, target)
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
