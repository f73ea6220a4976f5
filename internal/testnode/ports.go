package testnode

import (
	"fmt"
	"net"
	"testing"
)

// ports returns n ports p of loopback on which TCP is free, and UDP on p and p+1. They are
// free again when it returns; nodes take them at once.
func ports(t testing.TB, n int) []int {
	t.Helper()
	used := map[int]bool{}
	var found []int
	for range 1000 {
		if len(found) == n {
			return found
		}
		udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := udp.LocalAddr().(*net.UDPAddr).Port
		udp.Close()
		if used[p-1] || used[p] || used[p+1] || !free(p) {
			continue
		}
		used[p], used[p+1] = true, true
		found = append(found, p)
	}
	t.Fatalf("%d free ports are not to be found on loopback", n)
	return nil
}

func free(p int) bool {
	tcp, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p))
	if err != nil {
		return false
	}
	tcp.Close()
	next, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", p+1))
	if err != nil {
		return false
	}
	next.Close()
	return true
}
