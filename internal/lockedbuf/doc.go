// Package lockedbuf has what tests give to processes and loggers to write to: a buffer that
// may be read meanwhile. The zero Buffer is empty and ready.
package lockedbuf
