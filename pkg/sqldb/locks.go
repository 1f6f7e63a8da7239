package sqldb

// ForUpdate ends a select in a writing transaction. The rows that it returns cannot be changed, deleted or locked by another
// process before the transaction ends, and are as that process left them if it came first. On SQLite it is nothing: whoever
// writes there is alone.
//
// A row that is waited for is looked at again, but rows joined to it are not. So lock one table's row, and read in the next
// statement, which sees all that was committed until then.
func (d Dialect) ForUpdate() string { return d.lock("for update") }

// ForKeyShare ends a select like [Dialect.ForUpdate], and keeps the rows from being deleted only: it is for what a new row is
// going to refer to.
func (d Dialect) ForKeyShare() string { return d.lock("for key share") }

func (d Dialect) lock(clause string) string {
	if d == SQLite {
		return ""
	}
	return " " + clause
}
