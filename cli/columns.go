// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// columns prints rows of cells below a header. On a terminal, the widest column is
// made so narrow that a row fits; elsewhere nothing is cut.
type columns struct {
	header []string
	rows   [][]string
	paint  func(column int, cell string) string // colors a cell; nil: none
}

func (c *columns) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	c.rows = append(c.rows, cells)
}

const columnGap = "  "

func (c *columns) print(p *painter, width int) {
	widths := c.widths()
	c.fit(widths, width)
	for i, row := range append([][]string{c.header}, c.rows...) {
		var line strings.Builder
		for column, cell := range row {
			if column > 0 {
				line.WriteString(columnGap)
			}
			cell = shorten(cell, widths[column])
			padding := strings.Repeat(" ", widths[column]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				cell = p.faint(cell)
			case c.paint != nil:
				cell = c.paint(column, cell)
			}
			line.WriteString(cell + padding)
		}
		p.line("%s", line.String())
	}
}

func (c *columns) widths() []int {
	widths := make([]int, len(c.header))
	for _, row := range append([][]string{c.header}, c.rows...) {
		for column, cell := range row {
			widths[column] = max(widths[column], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// narrowest is how narrow a column may become.
const narrowest = 12

// fit takes from the widest columns what is too much. A width of 0 fits everything.
func (c *columns) fit(widths []int, width int) {
	total := len(columnGap) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; width > 0 && total > width; total-- {
		widest := 0
		for column, w := range widths {
			if w > widths[widest] {
				widest = column
			}
		}
		if widths[widest] <= narrowest {
			return
		}
		widths[widest]--
	}
}

func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// width is that of the terminal that is written to, 0 if it is none.
func (p *painter) width() int {
	file, ok := p.w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
