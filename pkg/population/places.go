package population

import "strings"

// trait says what a place is like, as far as interests depend on it.
type trait uint8

const (
	coast trait = 1 << iota
	mountain
	vineyard
	city
	flat // or of gentle hills, with cycle paths
)

// place is a region that people live in.
type place struct {
	code    string
	country *country
	weight  float64
	traits  trait
	postal  []string
}

// country holds what people of a country share.
type country struct {
	code     string
	share    float64 // of the population, in per mille
	currency string
	wage     float64 // income in that currency that 1 EUR of a French income corresponds to
	phone    string  // pattern of numbers kept for fiction; empty: none
	names    *names
	// places: code, weight, traits, pattern of postal codes ('#' is a digit, '@' a letter), separated by spaces; weights
	// are thousands of inhabitants.
	places string
}

// countries are the countries of the population. Shares add up to 1,000.
var countries = []country{
	{code: "FR", share: 780, currency: "EUR", wage: 1, phone: "+3363998####", names: french, places: frenchPlaces},
	{code: "BE", share: 20, currency: "EUR", wage: 1.08, names: french, places: `
		BE-BRU 1240 c 10## BE-WLG 1110 m 40## BE-WHT 1350 - 70## BE-WNA 500 - 50## BE-WBR 410 f 13## BE-VAN 1880 cf 20## BE-VOV 1540 f 90##`},
	{code: "CH", share: 12, currency: "CHF", wage: 1.9, names: french, places: `
		CH-GE 510 c 12## CH-VD 820 mv 10## CH-VS 350 mv 19## CH-NE 175 m 20## CH-FR 330 m 17## CH-ZH 1550 c 80## CH-BE 1040 m 30##`},
	{code: "DE", share: 40, currency: "EUR", wage: 1.12, names: german, places: `
		DE-NW 18100 c 4#### DE-BY 13300 m 8#### DE-BW 11200 mv 7#### DE-NI 8100 f 3#### DE-HE 6400 c 6#### DE-RP 4150 v 5####
		DE-SN 4080 m 0#### DE-BE 3750 cf 10### DE-SH 2950 f 24### DE-BB 2570 f 14### DE-ST 2190 - 39### DE-TH 2130 m 99###
		DE-HH 1890 cf 20### DE-MV 1630 f 18### DE-SL 990 - 66### DE-HB 680 f 28###`},
	{code: "ES", share: 32, currency: "EUR", wage: .78, names: spanish, places: `
		ES-M 6870 c 28### ES-B 5800 cs 08### ES-V 2640 s 46### ES-SE 1960 c 41### ES-A 1930 s 03### ES-MA 1740 s 29###
		ES-MU 1550 s 30### ES-BI 1150 sm 48### ES-C 1120 s 15### ES-LO 320 v 26### ES-SS 720 sm 20### ES-GR 930 m 18###`},
	{code: "PT", share: 10, currency: "EUR", wage: .6, names: portuguese, places: `
		PT-11 2280 cs 1###-### PT-13 1790 csv 4###-### PT-03 850 s 47##-### PT-08 470 s 8###-### PT-06 410 s 3###-###`},
	{code: "GB", share: 26, currency: "GBP", wage: .95, phone: "+447700900###", names: english, places: `
		GB-WSM 210 c SW1@_#@@ GB-CMD 220 c NW#_#@@ GB-MAN 570 c M##_#@@ GB-LDS 820 c LS##_#@@ GB-BIR 1150 c B##_#@@ GB-EDH 530 c EH##_#@@
		GB-GLG 640 c G##_#@@ GB-CRF 370 cs CF##_#@@ GB-BST 480 cf BS#_#@@ GB-KEN 1600 sf ME##_#@@ GB-ESS 1520 f CM#_#@@ GB-BFS 350 c BT#_#@@`},
	{code: "US", share: 26, currency: "USD", wage: 1.6, phone: "+120255501##", names: english, places: `
		US-CA 39000 cs 9#### US-TX 30500 c 7#### US-FL 22600 s 33### US-NY 19600 c 1#### US-PA 13000 - 19### US-IL 12500 cf 60###
		US-OH 11800 f 43### US-GA 11000 - 30### US-NC 10800 s 27### US-MI 10000 f 48### US-WA 7800 m 98### US-CO 5900 m 80### US-MA 7000 c 02###`},
	{code: "JP", share: 13, currency: "JPY", wage: 130, names: japanese, places: `
		JP-13 14100 c 1##-00## JP-27 8780 c 5##-00## JP-14 9230 cs 2##-00## JP-23 7480 - 46#-00## JP-01 5140 m 06#-08## JP-40 5100 s 81#-00## JP-26 2550 c 60#-08##`},
	{code: "IN", share: 12, currency: "INR", wage: 32, names: hindi, places: `
		IN-MH 126000 c 4000## IN-UP 237000 - 2260## IN-DL 21000 c 1100## IN-KA 68000 c 5600## IN-RJ 81000 - 3020## IN-MP 87000 - 4620##`},
	{code: "EG", share: 7, currency: "EGP", wage: 14, names: arabic, places: `
		EG-C 10200 c 11### EG-GZ 9400 c 12### EG-ALX 5500 cs 21### EG-DK 7000 - 35###`},
	{code: "MA", share: 7, currency: "MAD", wage: 3.4, names: arabic, places: `
		MA-CAS 4500 cs 2#### MA-RAB 1930 cs 1#### MA-MAR 1400 m 4#### MA-FES 1200 - 3####`},
	{code: "GR", share: 5, currency: "EUR", wage: .55, names: greek, places: `
		GR-I 3800 cs 1#### GR-B 1790 s 5#### GR-M 620 s 7#### GR-G 650 m 26###`},
	{code: "BG", share: 4, currency: "EUR", wage: .42, names: cyrillic, places: `BG-22 1280 cm 1### BG-16 630 - 4### BG-03 430 s 9###`},
	{code: "UA", share: 3, currency: "UAH", wage: 11, names: cyrillic, places: `UA-30 2950 c 0#### UA-46 2480 - 79### UA-51 2350 s 65###`},
	{code: "KR", share: 3, currency: "KRW", wage: 1250, names: korean, places: `KR-11 9400 c 0#### KR-26 3300 s 4#### KR-41 13600 - 1####`},
}

// frenchPlaces are the departments, by thousands of inhabitants, with the overseas ones.
const frenchPlaces = `
	FR-01 671 m 01### FR-02 522 f 02### FR-03 333 - 03### FR-04 166 m 04### FR-05 140 m 05### FR-06 1110 sm 06### FR-07 334 mv 07###
	FR-08 266 - 08### FR-09 156 m 09### FR-10 311 v 10### FR-11 379 sv 11### FR-12 280 m 12### FR-13 2080 csv 13### FR-14 702 s 14###
	FR-15 144 m 15### FR-16 351 vf 16### FR-17 670 sf 17### FR-18 297 v 18### FR-19 239 m 19### FR-2A 165 sm 20### FR-2B 188 sm 20###
	FR-21 537 v 21### FR-22 609 s 22### FR-23 115 m 23### FR-24 415 v 24### FR-25 552 m 25### FR-26 526 mv 26### FR-27 599 f 27###
	FR-28 431 f 28### FR-29 926 s 29### FR-30 764 v 30### FR-31 1470 cm 31### FR-32 192 v 32### FR-33 1690 csvf 33### FR-34 1230 sv 34###
	FR-35 1120 cs 35### FR-36 215 - 36### FR-37 617 vf 37### FR-38 1290 cm 38### FR-39 258 mv 39### FR-40 429 sf 40### FR-41 327 vf 41###
	FR-42 774 m 42### FR-43 228 m 43### FR-44 1490 csf 44### FR-45 688 f 45### FR-46 175 v 46### FR-47 331 vf 47### FR-48 77 m 48###
	FR-49 829 vf 49### FR-50 492 s 50### FR-51 562 v 51### FR-52 169 - 52### FR-53 305 - 53### FR-54 730 c 54### FR-55 181 - 55###
	FR-56 780 s 56### FR-57 1050 f 57### FR-58 200 v 58### FR-59 2610 cf 59### FR-60 830 f 60### FR-61 276 - 61### FR-62 1460 sf 62###
	FR-63 664 m 63### FR-64 699 sm 64### FR-65 231 m 65### FR-66 492 sm 66### FR-67 1160 cvf 67### FR-68 771 mvf 68### FR-69 1910 cv 69###
	FR-70 232 - 70### FR-71 549 v 71### FR-72 566 f 72### FR-73 443 m 73### FR-74 852 m 74### FR-75 2110 c 75### FR-76 1260 s 76###
	FR-77 1460 f 77### FR-78 1470 cf 78### FR-79 376 f 79### FR-80 566 sf 80### FR-81 396 v 81### FR-82 264 f 82### FR-83 1110 sv 83###
	FR-84 566 v 84### FR-85 707 sf 85### FR-86 440 f 86### FR-87 371 - 87### FR-88 356 m 88### FR-89 332 v 89### FR-90 139 - 90###
	FR-91 1330 cf 91### FR-92 1650 c 92### FR-93 1690 c 93### FR-94 1420 c 94### FR-95 1280 cf 95### FR-971 379 s 971## FR-972 352 s 972##
	FR-973 288 s 973## FR-974 881 sm 974## FR-976 310 s 976## FR-NC 269 s 988## FR-PF 281 s 987##`

// postalCodes is how many postal codes a place has.
const postalCodes = 24

// makePlaces parses the tables above. Postal codes are the same for every seed: they belong to the place.
func makePlaces() ([]place, weighted) {
	var places []place
	var weights []float64
	for i := range countries {
		c := &countries[i]
		words := strings.Fields(c.places)
		first, sum := len(places), 0.0
		for ; len(words) >= 4; words = words[4:] {
			p := place{code: words[0], country: c, weight: float64(number(words[1])), traits: traits(words[2])}
			d := stream(1, kindPlace, uint64(len(places)))
			for range postalCodes {
				p.postal = append(p.postal, fill(&d, words[3]))
			}
			sum += p.weight
			places = append(places, p)
		}
		for _, p := range places[first:] {
			weights = append(weights, p.weight/sum*c.share)
		}
	}
	return places, weigh(weights)
}

func traits(text string) trait {
	var t trait
	for _, r := range text {
		switch r {
		case 's':
			t |= coast
		case 'm':
			t |= mountain
		case 'v':
			t |= vineyard
		case 'c':
			t |= city
		case 'f':
			t |= flat
		}
	}
	return t
}

// fill replaces '#' by digits, '@' by letters and '_' by a space.
func fill(d *draw, pattern string) string {
	out := []byte(pattern)
	for i, b := range out {
		switch b {
		case '#':
			out[i] = '0' + byte(d.below(10))
		case '@':
			out[i] = "ABDEFGHJLNPQRSTUWXYZ"[d.below(20)]
		case '_':
			out[i] = ' '
		}
	}
	return string(out)
}

func number(digits string) int {
	n := 0
	for _, r := range digits {
		n = n*10 + int(r-'0')
	}
	return n
}
