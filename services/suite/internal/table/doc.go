// Package table prints tables for people: columns as wide as their widest cell in any script, numbers to the right.
//
// It does not wrap or cut. The command line calls it.
package table
