package mapping

import "strings"

// decimal reads a number written by people and returns it as "-12.5": without grouping, with a point, without needless
// zeros. It fails on anything that could be misread: exponents, groups that are not of three digits, two signs.
func decimal(text, point, group string) (string, bool) {
	negative := false
	switch {
	case strings.HasPrefix(text, "-"):
		negative, text = true, text[1:]
	case strings.HasPrefix(text, "\u2212"): // the minus sign proper
		negative, text = true, text[len("\u2212"):]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	whole, fraction, pointed := strings.Cut(text, point)
	if pointed && fraction == "" || whole == "" && fraction == "" {
		return "", false
	}
	if group != "" {
		if group == " " { // files that group by spaces often mean narrow or unbreakable ones
			whole = strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(whole)
		}
		if strings.Contains(whole, group) {
			groups := strings.Split(whole, group)
			for i, g := range groups {
				switch last := i == len(groups)-1; {
				case i == 0 && (len(g) < 1 || len(g) > 3), last && len(g) != 3, i > 0 && !last && len(g) != 3 && len(g) != 2:
					return "", false
				}
			}
			whole = strings.Join(groups, "")
		}
	}
	if !allDigits(whole) || !allDigits(fraction) {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	if whole == "0" && fraction == "" {
		return "0", true
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole, true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// rounded shortens a decimal as [decimal] returns it to a scale, half away from zero; exact says whether nothing was lost.
func rounded(text string, scale int) (result string, exact bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) <= scale {
		return text, true
	}
	up := fraction[scale] >= '5'
	number := []byte(whole + fraction[:scale])
	first := 0
	if number[0] == '-' {
		first = 1
	}
	for i := len(number) - 1; up && i >= first; i-- {
		if number[i] < '9' {
			number[i]++
			up = false
		} else {
			number[i] = '0'
		}
	}
	out := string(number[first:])
	if up {
		out = "1" + out
	}
	if scale > 0 {
		out = out[:len(out)-scale] + "." + out[len(out)-scale:]
	}
	result, _ = decimal(string(number[:first])+out, ".", "")
	return result, false
}
