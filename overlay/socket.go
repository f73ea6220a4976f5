package overlay

import (
	"log/slog"
	"net"
	"net/netip"
)

// listen opens the gateway's UDP socket with buffers for a fast long path.
func listen(addr netip.AddrPort, log *slog.Logger) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	// The kernel grants what its limits allow and does not say that it was less.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	receive, send, ok := bufferSizes(conn)
	if ok && receive < socketBuffer {
		log.Warn("UDP receive buffer is smaller than a fast link needs: raise sysctl net.core.rmem_max", "bytes", receive, "wanted", socketBuffer)
	}
	if ok && send < socketBuffer {
		log.Warn("UDP send buffer is smaller than a fast link needs: raise sysctl net.core.wmem_max", "bytes", send, "wanted", socketBuffer)
	}
	return conn, nil
}
