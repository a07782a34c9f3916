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
		Short: "Hashes a client secret for gluu_oauth_server",
		Long: `
Prints the argon2id hash of a client secret for the configuration of
gluu_oauth_server:

	client <client_id> {
		secret <hash>
	}

On a terminal, the command prompts for the secret twice and does not echo it.
Otherwise it reads the secret from standard input and strips a trailing newline:

	(umask 077 && openssl rand -hex 32 >secret.txt) && caddy gluu hash-secret <secret.txt

The umask keeps other users of the machine from reading the file.

--plaintext
    The secret itself. Avoid this flag: other users of the machine can see the
    secret while the command runs, and the shell keeps it in its history.
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
	command.Flags().StringVarP(&plaintext, "plaintext", "p", "", "Secret to hash; visible to other users of the machine")
	return command
}

// readSecret reads a secret from a terminal, twice and without echo, or from any
// other reader.
func readSecret(in io.Reader, prompt io.Writer) ([]byte, error) {
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return askTwice(int(file.Fd()), prompt)
	}
	// Far more than HashSecret accepts.
	secret, err := io.ReadAll(io.LimitReader(in, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	secret = bytes.TrimSuffix(secret, []byte("\n"))
	secret = bytes.TrimSuffix(secret, []byte("\r"))
	if bytes.ContainsAny(secret, "\r\n") {
		return nil, errors.New("the secret has more than one line, which a client cannot send; pass a single line")
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
		return nil, errors.New("the secrets do not match; run the command again")
	}
	return answers[0], nil
}
