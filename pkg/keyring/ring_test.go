package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkprf "github.com/tink-crypto/tink-go/v2/prf"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHashGivesThePublishedValues uses the test cases of RFC 4231, section 4, whose keys are not longer than ours: HMAC fills a key
// with zeros up to its block, so a shorter key and the same one with zeros behind it are one.
func TestHashGivesThePublishedValues(t *testing.T) {
	for _, c := range []struct{ key, data, sum string }{
		{strings.Repeat("0b", 20), hex.EncodeToString([]byte("Hi There")), "b0344c61d8db38535ca8afceaf0bf12b"},
		{hex.EncodeToString([]byte("Jefe")), hex.EncodeToString([]byte("what do ya want for nothing?")), "5bdcc146bf60754e6a042426089575c7"},
		{strings.Repeat("aa", 20), strings.Repeat("dd", 50), "773ea91e36800e46854db8ebd09181a7"},
		{"0102030405060708090a0b0c0d0e0f10111213141516171819", strings.Repeat("cd", 50), "82558a389a443c0ea4cc819899f2083a"},
		{strings.Repeat("0c", 20), hex.EncodeToString([]byte("Test With Truncation")), "a3b6167473100ee06e0c796c2955552b"},
	} {
		key := append(unhex(t, c.key), make([]byte, 32-len(c.key)/2)...)
		r := ring(t, parse(t, whole(set(keyring.Contact, 7, contact7), set(keyring.Index, 5, rawKey{id: 5, bytes: key}))))
		if got := r.Hash(unhex(t, c.data)); got.Key != 5 || hex.EncodeToString(got.Sum[:]) != c.sum {
			t.Errorf("hash of %s is %d %x, want %s", c.data, got.Key, got.Sum, c.sum)
		}
	}
}

func TestHashIsHMACOfTheKeyInTheFileAndWhatTinkComputes(t *testing.T) {
	r := ring(t, parse(t, plain))
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(set(keyring.Index, 5, index5, index3))))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := tinkprf.NewPRFSet(handle)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 { // over several blocks of SHA-256, and with states used again
		data := bytes.Repeat([]byte{byte(n)}, n)
		all := r.Hashes(data)
		if len(all) != 2 || all[0] != r.Hash(data) || all[0].Key != 5 || all[1].Key != 3 {
			t.Fatalf("hashes %v, want the primary 5 and then 3", all)
		}
		for i, k := range []rawKey{index5, index3} {
			mac := hmac.New(sha256.New, k.bytes)
			mac.Write(data)
			if want := mac.Sum(nil); !bytes.Equal(all[i].Sum[:], want[:16]) {
				t.Fatalf("%d bytes under key %d: %x, want %x", n, k.id, all[i].Sum, want[:16])
			}
			want, err := theirs.PRFs[k.id].ComputePRF(data, 16)
			if err != nil || !bytes.Equal(all[i].Sum[:], want) {
				t.Fatalf("%d bytes under key %d: %x, Tink says %x, %v", n, k.id, all[i].Sum, want, err)
			}
		}
	}
}

// TestOpenReadsThePublishedCiphertext is test case 16 of the specification of GCM by McGrew and Viega.
func TestOpenReadsThePublishedCiphertext(t *testing.T) {
	half := "feffe9928665731c6d6a8f9467308308"
	r := ring(t, parse(t, whole(set(keyring.Contact, 0x01020304, rawKey{id: 0x01020304, bytes: unhex(t, half+half)}), set(keyring.Index, 5, index5))))
	sealed := unhex(t, "01"+"01020304"+"cafebabefacedbaddecaf888"+
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"+
		"76fc6ece0f4e1768cddf8853bb2d551b")
	got, err := r.Open(sealed, unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2"))
	want := "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("opened %x, %v", got, err)
	}
}

func TestWhatIsSealedOpensWithTheLibraryAndTinkAndBack(t *testing.T) {
	r := ring(t, parse(t, plain))
	block, err := aes.NewCipher(contact7.bytes)
	if err != nil {
		t.Fatal(err)
	}
	library, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(set(keyring.Contact, 7, contact7, contact9))))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		text, where := bytes.Repeat([]byte("é"), n), []byte(fmt.Sprint("row ", n))
		sealed, err := r.Seal(text, where)
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := r.SealedWith(sealed); !ok || id != 7 || len(sealed) != len(text)+keyring.Overhead {
			t.Fatalf("sealed with %d, %v in %d bytes", id, ok, len(sealed))
		}
		if sealed[0] != 1 || binary.BigEndian.Uint32(sealed[1:]) != 7 {
			t.Fatalf("prefix %x", sealed[:5])
		}
		for name, open := range map[string]func() ([]byte, error){
			"library": func() ([]byte, error) { return library.Open(nil, sealed[5:17], sealed[17:], where) },
			"tink":    func() ([]byte, error) { return theirs.Decrypt(sealed, where) },
			"ring":    func() ([]byte, error) { return r.Open(sealed, where) },
		} {
			if got, err := open(); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s opened %q, %v", name, got, err)
			}
		}
		if sealed, err = theirs.Encrypt(text, where); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open(sealed, where); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("opened Tink's as %q, %v", got, err)
		}
	}
	a, errA := r.Seal([]byte("same"), nil)
	b, errB := r.Seal([]byte("same"), nil)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Errorf("the same text sealed twice: %x, %v and %x, %v", a, errA, b, errB)
	}
}

func TestEveryDamageIsSeen(t *testing.T) {
	r := ring(t, parse(t, whole(set(keyring.Contact, 7, contact7), set(keyring.Index, 5, index5))))
	where := []byte("here")
	sealed, err := r.Seal([]byte("Ada"), where)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(sealed) * 8 {
		bad := slices.Clone(sealed)
		bad[bit/8] ^= 1 << (bit % 8)
		_, err := r.Open(bad, where)
		if bit/8 >= 1 && bit/8 < 5 { // another key's id
			refuse(t, err, fault.Internal, keyring.ReasonKeyUnknown)
		} else {
			refuse(t, err, fault.DataLoss, keyring.ReasonSealBroken)
		}
	}
	for n := range len(sealed) {
		_, err := r.Open(sealed[:n], where)
		refuse(t, err, fault.DataLoss, keyring.ReasonSealBroken)
		if id, ok := r.SealedWith(sealed[:n]); ok != (n >= keyring.Overhead) || ok && id != 7 {
			t.Errorf("%d bytes are sealed with %d, %v", n, id, ok)
		}
	}
	for _, other := range [][]byte{nil, []byte("there"), []byte("here ")} {
		_, err := r.Open(sealed, other)
		refuse(t, err, fault.DataLoss, keyring.ReasonSealBroken)
	}
	_, err = r.Open(append(slices.Clone(sealed), 0), where)
	refuse(t, err, fault.DataLoss, keyring.ReasonSealBroken)
	_, err = r.Open([]byte("Ada Lovelace, never sealed, and long enough"), where)
	refuse(t, err, fault.DataLoss, keyring.ReasonSealBroken)
	if strings.Contains(err.Error(), "Ada") {
		t.Errorf("the fault tells the text: %v", err)
	}
}

func TestARingIsSharedByManyGoroutines(t *testing.T) {
	r := ring(t, parse(t, plain))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 200 {
				text := []byte(fmt.Sprint(g, "/", n))
				mac := hmac.New(sha256.New, index5.bytes)
				mac.Write(text)
				if sum := r.Hash(text).Sum; !bytes.Equal(sum[:], mac.Sum(nil)[:16]) {
					t.Errorf("hash of %s is %x", text, sum)
				}
				sealed, err := r.Seal(text, nil)
				if err != nil {
					t.Error(err)
				}
				if got, err := r.Open(sealed, nil); err != nil || !bytes.Equal(got, text) {
					t.Errorf("opened %q, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkHash(b *testing.B) {
	r := ring(b, parse(b, plain))
	data := []byte("email\x00crm\x00someone.with.a.name@example.com")
	b.ReportAllocs()
	for b.Loop() {
		r.Hash(data)
	}
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b, parse(b, plain))
	text, where := make([]byte, 200), make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Seal(text, where); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, parse(b, plain))
	where := make([]byte, 16)
	sealed, err := r.Seal(make([]byte, 200), where)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(sealed, where); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRow is what an import does for each row: three identifiers and one sealed text.
func BenchmarkRow(b *testing.B) {
	r := ring(b, parse(b, plain))
	text, where := make([]byte, 200), make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		for range 3 {
			r.Hash(text[:40])
		}
		if _, err := r.Seal(text, where); err != nil {
			b.Fatal(err)
		}
	}
}
