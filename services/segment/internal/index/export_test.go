package index

// Waiting returns how many calls wait for refills.
func (x *Index) Waiting() int {
	x.refills.mu.Lock()
	defer x.refills.mu.Unlock()
	n := 0
	for _, r := range x.refills.waiting {
		n += r.callers
	}
	return n
}
