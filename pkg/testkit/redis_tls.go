package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TLSServer is a Redis of one test alone that is reached over TLS and asks its clients for a certificate. The files are in PEM form.
type TLSServer struct {
	// Addr is its host:port.
	Addr string
	// Name is the only name in its certificate; the host of Addr is not.
	Name string
	// CAFile is the authority that signed the certificates of server and client; CertFile and KeyFile are the client's.
	CAFile, CertFile, KeyFile string
}

// RedisTLS starts a Redis that speaks TLS for t alone and stops it when t ends. It needs redis-server, built with TLS, on this machine;
// without it the test is skipped, or fails if CI=true.
func RedisTLS(t testing.TB) TLSServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(t, "REDIS WITH TLS NOT AVAILABLE: %v; install redis-server", err)
	}
	s := TLSServer{Name: "redis.test"}
	dir := t.TempDir()
	authority, key := certificate(t, dir, "ca", nil, nil, "")
	s.CAFile = filepath.Join(dir, "ca.pem")
	certificate(t, dir, "server", authority, key, s.Name)
	certificate(t, dir, "client", authority, key, "client.test")
	s.CertFile, s.KeyFile = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	var last error
	for range 10 { // until no other program takes one of the ports
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		b, err := tryBinary(path, dir, "--tls-port", port, "--tls-auth-clients", "yes", "--tls-ca-cert-file", s.CAFile,
			"--tls-cert-file", filepath.Join(dir, "server.pem"), "--tls-key-file", filepath.Join(dir, "server.key"))
		if err != nil {
			last = err
			continue
		}
		t.Cleanup(func() {
			if err := b.stop(); err != nil {
				t.Errorf("stop a redis with TLS: %v", err)
			}
		})
		s.Addr = net.JoinHostPort("127.0.0.1", port)
		return s
	}
	Missing(t, "REDIS WITH TLS NOT AVAILABLE: %v; install a redis-server that is built with TLS", last)
	return s
}

// certificate writes name.pem and name.key: an authority's own where none is given, else one of the host that it signed.
func certificate(t testing.TB, dir, name string, by *x509.Certificate, byKey *ecdsa.PrivateKey, host string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	number, err2 := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		by, byKey = c, key
	} else {
		c.DNSNames = []string{host}
	}
	der, err1 := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	secret, err2 := x509.MarshalECPrivateKey(key)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return c, key
}
