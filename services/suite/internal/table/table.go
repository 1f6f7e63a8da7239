package table

import (
	"io"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"
)

// Table collects rows. The zero value is an empty table without a header.
type Table struct {
	rows  [][]string
	right map[int]bool
}

// New returns a table with a header, or without one if there are no titles; a title that begins with '>' marks a column of numbers, which are put to the right.
func New(titles ...string) *Table {
	t := &Table{right: map[int]bool{}}
	for i, title := range titles {
		if plain, number := strings.CutPrefix(title, ">"); number {
			t.right[i], titles[i] = true, plain
		}
	}
	if len(titles) > 0 {
		t.rows = append(t.rows, titles)
	}
	return t
}

// Row adds a row. Cells of other types than text are for Int.
func (t *Table) Row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.Join(strings.Fields(c), " ")
	}
	t.rows = append(t.rows, cells)
}

// Int writes a number with commas between groups of three digits.
func Int[N ~int | ~int32 | ~int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	first := 0
	if text[0] == '-' {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Write prints the table.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(c))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := strings.Builder{}
		for i, c := range row {
			gap := strings.Repeat(" ", widths[i]-uniseg.StringWidth(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if t.right[i] {
				line.WriteString(gap + c)
			} else {
				line.WriteString(c + gap)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
