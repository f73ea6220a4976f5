package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
)

// Limits of the port. Nothing that is written to it may cost the node more.
const (
	maxConnections  = 64       // scrapers and browsers, with room
	maxHeaderBytes  = 16 << 10 // a browser's largest is about 8 KiB
	headerTimeout   = 3 * time.Second
	readTimeout     = 5 * time.Second
	writeTimeout    = 15 * time.Second
	idleTimeout     = 30 * time.Second
	shutdownTimeout = 500 * time.Millisecond // a status takes far less
)

// A Server answers on a node's admin address.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds the address. Nothing is answered before Run.
func Listen(address string, source Source, metrics prometheus.Gatherer, log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin port: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		listener: netutil.LimitListener(listener, maxConnections),
		http: &http.Server{
			Handler:           NewHandler(source, metrics),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			// What strangers send must not fill the log.
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Addr returns the address that was bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run answers until the context ends, then returns nil.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			s.http.Close()
		}
	})
	err := s.http.Serve(s.listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close releases the address of a server that was not Run, or ends one that is.
func (s *Server) Close() error {
	return errors.Join(s.listener.Close(), s.http.Close())
}
