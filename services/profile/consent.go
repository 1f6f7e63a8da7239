package profile

// Granted reports whether the person has consented to a purpose over a channel on a day (since 1970-01-01): by the decision for this
// channel if there is one, else by the one for every channel. Who has decided nothing has not consented.
func (p *Profile) Granted(purpose, channel string, day int64) bool {
	var general, own *Consent
	for i := range p.Consents {
		switch c := &p.Consents[i]; {
		case c.Purpose != purpose:
		case c.Channel == "":
			general = c
		case c.Channel == channel:
			own = c
		}
	}
	if own == nil {
		own = general
	}
	return own != nil && own.Status == ConsentGranted && (own.Expires == nil || day < *own.Expires)
}
