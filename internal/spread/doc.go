// Package spread is the codec of the Spread Toolkit's client protocol, for servers
// and clients alike: the handshake, the 48-byte header in both byte orders, and the
// bodies of membership messages. It has no sockets; site/session and client do.
//
// What every reader must know:
//
//   - After the handshake, integers are in their sender's own byte order. Marker
//     bits in the type say which: the top bit of the field's first byte is set in
//     little endian.
//   - The hint (the application's 16-bit message type) stays as its original sender
//     wrote it, marker included, on its whole way.
//   - This project writes little endian.
//
// The facts are those of docs/client-protocol.md; no code of Spread's is in here.
// Package spread may import internal/wire and membership.
package spread
