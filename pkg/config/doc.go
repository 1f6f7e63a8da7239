// Package config holds the few value types that flags and environment variables need beyond those of the language: a [Secret]
// that cannot be printed by accident and a [Bytes] size that cannot be mistyped.
//
// The convention it supports: each part owns a struct of settings with a function that gives its defaults and a method
// Validate() error that reports every wrong setting at once, by its flag's name; [Validate] asks several parts. Values come from
// flags, else from the environment under the same name in capitals with the prefix NARROWCAST_, else from the default.
//
// It reads no file, flag or variable itself: the program's command line does, through encoding.TextUnmarshaler.
package config
