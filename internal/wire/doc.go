// Package wire has the codec primitives that every Ringway message is built
// from: a bounded, sticky-error Reader and append-style writers.
//
// Rules every codec in this project follows:
//
//   - Integers are little endian and of fixed width; lengths come before what
//     they measure.
//   - A decoder never allocates more than the input it was given could justify:
//     Count checks that count × smallest element still fits the rest.
//   - A decoder never panics. After the first fault the Reader returns zero
//     values, and Err (or Done, which also refuses trailing bytes) tells why.
//   - Byte slices returned by a Reader alias its input.
//
// The package imports nothing of ours. Each protocol package owns its own
// messages; only the primitives live here.
package wire
