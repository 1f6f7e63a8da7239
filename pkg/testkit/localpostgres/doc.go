// Package localpostgres finds what it takes to start a PostgreSQL of one's own on this machine: the folder of its programs, and
// somebody to run it as, since it refuses to run as root.
//
// It promises to look in PATH first and then where Debian keeps every version, and to take the newest of those. It starts nothing and
// imports nothing of tests: the tests' servers and the bench's are started by their own packages, which call it.
package localpostgres
