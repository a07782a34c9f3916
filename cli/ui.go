// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
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
		links, err := askForLinks(address)
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

func askForLinks(address string) ([]uilink.Link, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	if err != nil {
		return nil, err
	}
	response, err := caddycmd.AdminAPIRequest(address, http.MethodPost, "/gluu/ui", nil, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway at %s: %w; write its admin address with --address", address, err)
	}
	defer response.Body.Close()
	var answer struct {
		Links []uilink.Link `json:"links"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the answer of the gateway at %s: %w", address, err)
	}
	return answer.Links, nil
}
