package lan

import "unsafe"

// unsafePointer is the one place where bytes are looked at as a kernel structure.
func unsafePointer(b *byte) unsafe.Pointer { return unsafe.Pointer(b) }
