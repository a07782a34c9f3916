// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/internal/uilink"
)

// newUICommand returns `caddy gluu ui`.
func newUICommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Prints a link that opens the gateway in a browser",
		Long: `
Prints a link that opens the pages of gluu_ui, for each gluu_ui of the running
gateway that has the option local. A link opens them once, within a minute, on
the gateway's machine.
`,
		Example: `  caddy gluu ui
  caddy gluu ui --address localhost:2019`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&address, "address", "", "Address of the running gateway's admin endpoint")
	return asCommand(cmd, nil, func(cmd *cobra.Command, _ []string) (int, error) {
		links, err := askForLinks(cmd.Context(), address)
		if err != nil {
			return exitError, err
		}
		for _, link := range links {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), link.URL); err != nil {
				return exitError, err
			}
		}
		return exitYes, nil
	})
}

func askForLinks(ctx context.Context, address string) ([]uilink.Link, error) {
	client, err := newAdminClient(address)
	if err != nil {
		return nil, err
	}
	text, err := client.ask(ctx, http.MethodPost, "/gluu/ui", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Links []uilink.Link `json:"links"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer of the gateway at %s: %w", client.address, err)
	}
	return answer.Links, nil
}
