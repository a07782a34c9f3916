// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-gluu/gateway/authserver"
)

// newHashSecretCommand returns `caddy gluu hash-secret`.
func newHashSecretCommand() *cobra.Command {
	var plaintext string
	command := &cobra.Command{
		Use:   "hash-secret [--plaintext <secret>]",
		Short: "Hashes the secret of a client of gluu_oauth_server",
		Long: `
Prints the argon2id hash of a client secret, to be written into the
configuration of gluu_oauth_server:

	client <client_id> {
		secret <hash>
	}

The secret is asked for twice and not shown. If standard input is not a
terminal, it is read from there; a line feed at its end is not part of it:

	openssl rand -hex 32 | tee secret.txt | caddy gluu hash-secret

--plaintext
    The secret. Other users of the machine can see it while the command
    runs, and it stays in the history of the shell.
`,
		Example: `  caddy gluu hash-secret`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			secret := []byte(plaintext)
			if !command.Flags().Changed("plaintext") {
				var err error
				if secret, err = readSecret(command.InOrStdin(), command.ErrOrStderr()); err != nil {
					return err
				}
			}
			hash, err := authserver.HashSecret(secret)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), hash)
			return err
		},
	}
	command.Flags().StringVarP(&plaintext, "plaintext", "p", "", "The secret")
	return command
}

// readSecret reads a secret from a terminal, twice and without echo, or from
// whatever else in is.
func readSecret(in io.Reader, prompt io.Writer) ([]byte, error) {
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return askTwice(int(file.Fd()), prompt)
	}
	// One byte more than fits is enough to be refused.
	secret, err := io.ReadAll(io.LimitReader(in, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	secret = bytes.TrimSuffix(secret, []byte("\n"))
	secret = bytes.TrimSuffix(secret, []byte("\r"))
	if bytes.ContainsAny(secret, "\r\n") {
		return nil, errors.New("the secret has more than one line; a client could not send it")
	}
	return secret, nil
}

func askTwice(terminal int, prompt io.Writer) ([]byte, error) {
	// An interrupt must not leave the terminal without echo.
	if state, err := term.GetState(terminal); err == nil {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		defer signal.Stop(interrupted)
		go func() {
			<-interrupted
			_ = term.Restore(terminal, state)
			os.Exit(caddy.ExitCodeFailedStartup)
		}()
	}
	var answers [2][]byte
	for i, question := range []string{"Enter secret: ", "Confirm secret: "} {
		_, _ = fmt.Fprint(prompt, question)
		answer, err := term.ReadPassword(terminal)
		_, _ = fmt.Fprintln(prompt)
		if err != nil {
			return nil, fmt.Errorf("reading the secret: %w", err)
		}
		answers[i] = answer
	}
	if !bytes.Equal(answers[0], answers[1]) {
		return nil, errors.New("the two secrets are not the same")
	}
	return answers[0], nil
}
