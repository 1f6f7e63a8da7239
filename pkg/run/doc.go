// Package run starts the parts of a process in order, keeps them running, and stops them in reverse.
//
// Every part goes through the states new, starting, running, stopping, and ends terminated or failed. It promises:
//
//   - a part is started only when the one before it is ready, since start returns only when the part can be used;
//   - the first part that fails, while starting or running, stops all others, and the error and the log name it;
//   - on a stop the process first reports that it is not ready, waits for load balancers to notice (ShutdownDelay), then stops
//     parts in reverse order, each within StopTimeout, so that a part never outlives what it needs;
//   - no goroutine is left behind except that of a part which did not stop in time, and that is an error.
//
// It does not restart parts, and it knows nothing about what they do. Programs build one [Group] and call [Group.Run].
package run
