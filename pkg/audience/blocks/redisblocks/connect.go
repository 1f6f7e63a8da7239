package redisblocks

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/config"
)

// Options say which Redis holds the blocks and how to reach it. Flags come from the tags.
type Options struct {
	// Address is one server, the nodes of a cluster, or the sentinels of a master:
	//
	//	redis://[user[:password]@]host[:port][/db]
	//	redis+cluster://[user[:password]@]host[:port],host[:port],...
	//	redis+sentinel://[user[:password]@]host[:port],host[:port],.../master[/db]
	//	unix://[user[:password]@]/path[?db=n]
	//
	// With rediss in place of redis every connection, those to sentinels too, is encrypted. Without a port it is 6379, of a sentinel
	// 26379. User and password are those of the servers. What the client library lets one tune may follow as ?name=value, such as
	// pool_size=50 or read_timeout=5s.
	Address config.Secret `kong:"-"`

	Password         config.Secret `help:"Password of Redis, instead of one in its address." env:"NARROWCAST_REDIS_PASSWORD" placeholder:"TEXT"`
	PasswordFile     string        `help:"File that holds the password of Redis; an end of line is not part of it." env:"NARROWCAST_REDIS_PASSWORD_FILE" placeholder:"FILE"`
	SentinelUser     string        `help:"User at the sentinels, where they ask for one." env:"NARROWCAST_REDIS_SENTINEL_USER" placeholder:"NAME"`
	SentinelPassword config.Secret `help:"Password at the sentinels, where they ask for one." env:"NARROWCAST_REDIS_SENTINEL_PASSWORD" placeholder:"TEXT"`
	CAFile           string        `name:"ca-file" help:"Certificates (PEM) of the authorities that vouch for Redis; empty: those of the system." env:"NARROWCAST_REDIS_CA_FILE" placeholder:"FILE"`
	CertFile         string        `help:"Certificate (PEM) that is shown to Redis. It is read again for each connection." env:"NARROWCAST_REDIS_CERT_FILE" placeholder:"FILE"`
	KeyFile          string        `help:"Key (PEM) of that certificate." env:"NARROWCAST_REDIS_KEY_FILE" placeholder:"FILE"`
	ServerName       string        `help:"Name that the certificates of Redis must hold; empty: the host by which a server is reached." env:"NARROWCAST_REDIS_SERVER_NAME" placeholder:"NAME"`
}

// Where the address says nothing else: a server that does not answer is noticed before the default staleness bound of five seconds
// is over, and a redirection is followed often enough for slots that move twice while a question runs.
const (
	dialTimeout  = 2 * time.Second
	readTimeout  = 3 * time.Second
	maxRetries   = 2
	maxRedirects = 8
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// Check reports whether a client can be made. It reads the files that are named, and connects to nothing. (Were it called Validate,
// the parser of flags would call it before the address is in.)
func (o *Options) Check() error {
	client, err := o.Client()
	if err != nil {
		return err
	}
	return client.Close()
}

// Client returns a client, which the caller closes; it connects when it is first used. Commands end with their context. In a cluster
// and behind sentinels only masters are asked: a replica may lag, which its version would show, and cost a refill.
//
// Errors name the setting by its flag and hold no part of the address.
func (o *Options) Client() (redis.UniversalClient, error) {
	a, err := parseAddress(o.Address.Reveal())
	if err != nil {
		return nil, err
	}
	password, err := o.password(a)
	if err != nil {
		return nil, err
	}
	secure, err := o.secure(a)
	if err != nil {
		return nil, err
	}
	if a.kind != sentinels && (o.SentinelUser != "" || !o.SentinelPassword.IsZero()) {
		return nil, errors.New("redis-sentinel-user: only an address with redis+sentinel:// has sentinels")
	}
	switch a.kind {
	case cluster:
		return a.clusterClient(password, secure)
	case sentinels:
		return a.sentinelClient(password, secure, o.SentinelUser, o.SentinelPassword.Reveal())
	}
	return a.serverClient(password, secure)
}

// password is the one password that is given, in the address or beside it.
func (o *Options) password(a address) (string, error) {
	inAddress, _ := a.user.Password()
	given := 0
	for _, is := range []bool{inAddress != "", !o.Password.IsZero(), o.PasswordFile != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return "", errors.New("redis-password: give it once, in the address, as --redis-password or in a file")
	}
	if o.PasswordFile == "" {
		return cmp.Or(inAddress, o.Password.Reveal()), nil
	}
	data, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("redis-password-file: %w", err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", errors.New("redis-password-file: the file is empty")
	}
	return text, nil
}

// secure is how connections are encrypted; nil: they are not.
func (o *Options) secure(a address) (*tls.Config, error) {
	if !a.secure {
		if o.CAFile != "" || o.CertFile != "" || o.KeyFile != "" || o.ServerName != "" {
			return nil, errors.New("redis: certificates and a server name are for addresses that begin with rediss")
		}
		return nil, nil
	}
	// Without a name each connection checks the host that it goes to, which in a cluster is not the first of the list.
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis-ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("redis-ca-file: there is no certificate in PEM form in the file")
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("redis-cert-file: a certificate and its key are given together")
	}
	if o.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("redis-cert-file: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

type kind int

const (
	server kind = iota
	socket
	cluster
	sentinels
)

// schemes are those of addresses.
var schemes = map[string]struct {
	kind   kind
	secure bool
}{
	"redis": {server, false}, "rediss": {server, true}, "unix": {socket, false},
	"redis+cluster": {cluster, false}, "rediss+cluster": {cluster, true},
	"redis+sentinel": {sentinels, false}, "rediss+sentinel": {sentinels, true},
}

// address is a parsed address. The rest of it is in url, which has the first host alone, and which the library reads.
type address struct {
	kind   kind
	secure bool
	user   *url.Userinfo
	hosts  []string // with ports
	master string
	url    url.URL
}

// The library's errors, and those of net/url, repeat the address and with it the password: they are told in other words.
var (
	errAddress = errors.New("redis: give an address such as redis://user@host:6379/0, redis+cluster://host:6379,host:6379 or " +
		"redis+sentinel://host:26379,host:26379/master")
	errTuning = errors.New("redis: what follows the question mark in the address cannot be understood")
)

func parseAddress(text string) (address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	s, known := schemes[scheme]
	if !ok || !known {
		return address{}, errAddress
	}
	if s.kind == socket {
		u, err := url.Parse(text)
		if err != nil || u.Path == "" || u.Host != "" {
			return address{}, errAddress
		}
		return address{kind: socket, user: u.User, url: *u}, nil
	}
	// net/url knows one host only, so the others are taken out.
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, list := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, list = authority[:i+1], authority[i+1:]
	}
	a := address{kind: s.kind, secure: s.secure}
	port := redisPort
	if s.kind == sentinels {
		port = sentinelPort
	}
	for _, h := range strings.Split(list, ",") {
		u, err := url.Parse("redis://" + h)
		if err != nil || u.Hostname() == "" || u.User != nil {
			return address{}, errAddress
		}
		a.hosts = append(a.hosts, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	u, err := url.Parse("redis://" + user + a.hosts[0] + tail)
	if err != nil || u.Fragment != "" {
		return address{}, errAddress
	}
	a.user, a.url = u.User, *u
	return a, a.check()
}

// check refuses what the kinds of addresses do not have, and takes the master's name out of the path.
func (a *address) check() error {
	q, err := url.ParseQuery(a.url.RawQuery)
	if err != nil {
		return errTuning
	}
	for _, name := range []string{"addr", "master_name", "username", "password"} {
		if q.Has(name) {
			return errAddress
		}
	}
	if q.Has("skip_verify") {
		return errors.New("redis: certificates are always checked; name the authority with --redis-ca-file, and the name with --redis-server-name")
	}
	if q.Has("read_only") || q.Has("route_by_latency") || q.Has("route_randomly") || q.Has("replica_only") {
		return errors.New("redis: only masters are asked, so nothing can be said of replicas")
	}
	switch a.kind {
	case cluster:
		if strings.Trim(a.url.Path, "/") != "" || q.Has("db") {
			return errors.New("redis: a cluster has one database only, so none can be named")
		}
	case sentinels:
		master, db, _ := strings.Cut(strings.Trim(a.url.Path, "/"), "/")
		if master == "" {
			return errors.New("redis: name the master behind the sentinels, as in redis+sentinel://host:26379/master")
		}
		a.master, a.url.Path, a.url.RawPath = master, "/"+db, ""
	default:
		if len(a.hosts) > 1 {
			return errors.New("redis: several hosts need redis+cluster:// or redis+sentinel://")
		}
	}
	return nil
}

// tune fills in what the address does not say.
func tune(dial, read *time.Duration, retries *int) {
	*dial = cmp.Or(*dial, dialTimeout)
	*read = cmp.Or(*read, readTimeout)
	*retries = cmp.Or(*retries, maxRetries)
}

func (a *address) serverClient(password string, secure *tls.Config) (redis.UniversalClient, error) {
	opts, err := redis.ParseURL(a.url.String())
	if err != nil {
		return nil, errTuning
	}
	tune(&opts.DialTimeout, &opts.ReadTimeout, &opts.MaxRetries)
	opts.Password, opts.TLSConfig, opts.ContextTimeoutEnabled = password, secure, true
	return redis.NewClient(opts), nil
}

func (a *address) clusterClient(password string, secure *tls.Config) (redis.UniversalClient, error) {
	opts, err := redis.ParseClusterURL(a.url.String())
	if err != nil {
		return nil, errTuning
	}
	tune(&opts.DialTimeout, &opts.ReadTimeout, &opts.MaxRetries)
	opts.MaxRedirects = cmp.Or(opts.MaxRedirects, maxRedirects)
	opts.Addrs, opts.Password, opts.TLSConfig, opts.ContextTimeoutEnabled = a.hosts, password, secure, true
	return redis.NewClusterClient(opts), nil
}

func (a *address) sentinelClient(password string, secure *tls.Config, user, sentinelPassword string) (redis.UniversalClient, error) {
	opts, err := redis.ParseFailoverURL(a.url.String())
	if err != nil {
		return nil, errTuning
	}
	tune(&opts.DialTimeout, &opts.ReadTimeout, &opts.MaxRetries)
	opts.MasterName, opts.SentinelAddrs = a.master, a.hosts
	opts.Username, opts.Password = a.user.Username(), password
	opts.SentinelUsername, opts.SentinelPassword = user, sentinelPassword
	opts.TLSConfig, opts.ContextTimeoutEnabled = secure, true
	return redis.NewFailoverClient(opts), nil
}
