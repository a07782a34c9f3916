// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/caddy-gluu/gateway/internal/visible"
)

// A painter writes lines, in color on a terminal.
type painter struct {
	w      io.Writer
	colour bool
}

// newPainter returns a painter for a command's output: in color on a terminal,
// unless NO_COLOR is set (https://no-color.org) or TERM is dumb.
func newPainter(w io.Writer) *painter {
	file, ok := w.(*os.File)
	return &painter{w, ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p *painter) line(format string, args ...any) {
	// Trailing blanks come from empty columns.
	_, _ = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *painter) in(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *painter) bold(text string) string  { return p.in("1", text) }
func (p *painter) faint(text string) string { return p.in("2", text) }
func (p *painter) good(text string) string  { return p.in("32", text) }
func (p *painter) bad(text string) string   { return p.in("31", text) }
func (p *painter) warn(text string) string  { return p.in("33", text) }

// tick is the mark for a value: true, false, or anything else.
func (p *painter) tick(value any) string {
	switch value {
	case true:
		return p.good("✓")
	case false:
		return p.bad("✗")
	}
	return p.warn("•")
}

// printable escapes what cannot be seen, so that text from a request or a token can
// neither manipulate the terminal nor look like other text.
func printable(s string) string { return visible.Text(s) }
