// Package upload sends profiles and events to the profile service's imports, and brings them home over broken connections.
//
// It promises that when Run returns without an error every row is durable or rejected, that rows are held in memory only
// until they are acknowledged, in bounded number, and that a stream that breaks, or a service that is started again, is
// resumed without losing or repeating a row. An import id that was used before goes on where it stopped, if the rows are the
// same in the same order: that is the caller's part of the bargain.
//
// It does not read files. The import commands and the first run call it.
package upload
