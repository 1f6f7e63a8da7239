package table_test

import (
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

func TestColumnsLineUpInAnyScript(t *testing.T) {
	tab := table.New("name", ">count", "note")
	tab.Row("佐藤 さくら", table.Int(1234567), "x")
	tab.Row("Zoé", table.Int(7), "two\nlines")
	tab.Row("short row")
	var b strings.Builder
	if err := tab.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"name             count  note\n" +
		"佐藤 さくら  1,234,567  x\n" +
		"Zoé                  7  two lines\n" +
		"short row\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestNumbersAreGroupedByThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567890: "1,234,567,890"} {
		if got := table.Int(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
