// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/kongconfig"
)

// newImportTokensCommand returns `caddy gluu import-tokens`.
func newImportTokensCommand() *cobra.Command {
	var i tokenImport
	command := &cobra.Command{
		Use:   "import-tokens [--address <address>] <file>",
		Short: "Brings the tokens of a Kong file into the store of a running gateway",
		Long: `
Reads the oauth2_tokens of a declarative file of Kong (kong config db_export, decK)
and gives them to the running gateway, which keeps their hashes in its store.
Clients go on with the access and refresh tokens that they have.

Run the gateway with the same file first (caddy run --config kong.yml --adapter kong),
because a token belongs to a client and a service of its configuration.
Tokens that have expired are left out, and those that are in the store already
stay as they are, so the command can be run again.

--address
    The address of the admin endpoint. Default: CADDY_ADMIN, or localhost:2019
--issuer
    The issuer of the server whose store it is, if there are several.
--dry-run
    Read the file and print what would be imported.

Exits with 0 if every token is in the store or has expired, 1 if the gateway has
refused some, and 2 if the file could not be read or the gateway not be reached.
`,
		Example: `  caddy gluu import-tokens kong.yml`,
		Args:    cobra.ExactArgs(1),
	}
	flags := command.Flags()
	flags.StringVar(&i.address, "address", "", "Address of the running gateway's admin endpoint")
	flags.StringVar(&i.issuer, "issuer", "", "Issuer of the server whose store it is")
	flags.BoolVar(&i.dryRun, "dry-run", false, "Print what would be imported")
	return asCommand(command, nil, func(cmd *cobra.Command, args []string) (int, error) {
		return i.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], time.Now())
	})
}

// tokenImport is what the flags say.
type tokenImport struct {
	address, issuer string
	dryRun          bool
}

func (i *tokenImport) run(ctx context.Context, out, warnings io.Writer, name string, now time.Time) (int, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return exitError, err
	}
	tokens, notes, err := kongconfig.Adapter{}.Tokens(source, name)
	if err != nil {
		return exitError, err
	}
	for _, note := range notes {
		_, _ = fmt.Fprintf(warnings, "%s:%d: %s\n", name, note.Line, note.Message)
	}
	client, err := newAdminClient(i.address)
	if err != nil {
		return exitError, err
	}
	path := "/gluu/oauth2_tokens"
	if i.issuer != "" {
		path += "?issuer=" + url.QueryEscape(i.issuer)
	}
	var imported, present, expired, refused int
	for _, token := range tokens {
		if isOver(&token, now) {
			expired++
			continue
		}
		if i.dryRun {
			imported++
			continue
		}
		status, answer, err := client.send(ctx, http.MethodPost, path, &token)
		switch {
		case err != nil:
			return exitError, err
		case status == http.StatusCreated:
			imported++
		case status == http.StatusConflict:
			present++
		case status == http.StatusNotFound, status >= 500:
			return exitError, fmt.Errorf("%s:%d: the gateway at %s answered %d after %d tokens: %s", name, token.Line, client.address, status, imported+present, messageOf(answer))
		default:
			refused++
			_, _ = fmt.Fprintf(warnings, "%s:%d: %s\n", name, token.Line, messageOf(answer))
		}
	}
	verb := "imported"
	if i.dryRun {
		verb = "to import"
	}
	_, _ = fmt.Fprintf(out, "%d %s, %d already in the store, %d expired, %d refused\n", imported, verb, present, expired, refused)
	if refused > 0 {
		return exitNo, nil
	}
	return exitYes, nil
}

// isOver reports whether neither the access token nor the refresh token is good any
// more.
func isOver(t *kongconfig.Token, now time.Time) bool {
	over := func(expiresIn int64) bool { return expiresIn > 0 && t.CreatedAt+expiresIn <= now.Unix() }
	return over(t.ExpiresIn) && (t.RefreshToken == "" || over(t.RefreshExpiresIn))
}
