package segment

// FindCycle looks for a way from the references of a segment back to it and returns it as ids, beginning and ending with the
// segment's own; nil if there is none. next returns the references of the segment with a uid. Segments that are reached on
// several ways are looked at once, so the time is that of the references below.
func FindCycle(self Reference, refs []Reference, next func(uid string) ([]Reference, error)) ([]string, error) {
	type step struct {
		at   Reference
		left []Reference // what at names and has not been followed
	}
	seen := make(map[string]bool)
	path := []step{{self, refs}}
	for len(path) > 0 {
		top := &path[len(path)-1]
		if len(top.left) == 0 {
			path = path[:len(path)-1]
			continue
		}
		r := top.left[0]
		top.left = top.left[1:]
		if r.UID == self.UID {
			ids := make([]string, 0, len(path)+1)
			for _, s := range path {
				ids = append(ids, s.at.ID)
			}
			return append(ids, self.ID), nil
		}
		if seen[r.UID] {
			continue
		}
		seen[r.UID] = true
		below, err := next(r.UID)
		if err != nil {
			return nil, err
		}
		path = append(path, step{r, below})
	}
	return nil, nil
}
