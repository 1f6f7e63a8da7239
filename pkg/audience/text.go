package audience

import "golang.org/x/text/unicode/norm"

// NormalizeText returns text in Unicode form NFC, in which all texts are kept and compared. Text that is already in it, as
// ASCII always is, is returned as it is.
func NormalizeText(text string) string {
	return norm.NFC.String(text)
}
