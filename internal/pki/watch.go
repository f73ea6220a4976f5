package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"time"
)

const (
	// watchInterval is how often the files are looked at: a revoked node has to be out
	// within 5 s, and four stats a second cost nothing. Polling also sees what is
	// renamed over a file, mounted over it, or changed on a network file system.
	watchInterval = time.Second
	// retryInterval is how often files that could not be read are tried again though
	// they did not change.
	retryInterval = 10 * time.Second
)

// Changed returns a channel that is closed at the next change of the certificate, the
// authorities or the revocation lists.
func (id *Identity) Changed() <-chan struct{} {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.changed
}

// Watch reads the files again when they change, and when they have since the identity was
// loaded, until ctx ends, and warns of what will not work any longer. It does nothing for a throw-away identity.
func (id *Identity) Watch(ctx context.Context, log *slog.Logger) {
	if id.Throwaway() {
		return
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	// At first the files are read in any case: they may have changed since the identity was
	// loaded.
	var last map[string]stamp
	var tried time.Time
	var said string
	id.warnOfExpiry(log)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		id.warnOfExpiry(log)
		now := id.stamps()
		if maps.Equal(now, last) && (said == "" || time.Since(tried) < retryInterval) {
			continue
		}
		last, tried = now, time.Now()
		said = id.report(log, said)
	}
}

// report reloads and says what came of it: an error only once while it stays the same.
func (id *Identity) report(log *slog.Logger, said string) string {
	changed, err := id.Reload()
	switch {
	case err != nil:
		if text := err.Error(); text != said {
			log.Error("certificates were not read again: what was read before stays in force", "error", err)
			said = text
		}
		return said
	case changed:
		s := id.Status()
		log.Info("certificates were read again", "serial", s.Serial, "expires", s.Expires.UTC().Format(time.RFC3339), "revoked", s.Revoked)
	}
	return ""
}

// A stamp tells whether a file may have changed.
type stamp struct {
	modified time.Time
	size     int64
}

// stamps returns those of the identity's files.
func (id *Identity) stamps() map[string]stamp {
	stamps := map[string]stamp{}
	for _, path := range []string{certFile(id.dir, caName), certFile(id.dir, id.name.node), keyFile(id.dir, id.name.node), certFile(id.dir, revokedName)} {
		if info, err := os.Stat(path); err == nil {
			stamps[path] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// Reload reads the files again and says whether anything changed. What is wrong is
// left out: authorities and lists, or the node's own certificate, stay as they were.
// A list never goes back to an older one.
func (id *Identity) Reload() (changed bool, err error) {
	if id.Throwaway() {
		return false, nil
	}
	trustChanged, trustErr := id.reloadTrust()
	pairChanged, pairErr := id.reloadPair()
	err = errors.Join(trustErr, pairErr)
	id.mu.Lock()
	defer id.mu.Unlock()
	id.problem = err
	if err != nil {
		id.failures++
	}
	if trustChanged || pairChanged {
		id.reloads++
		id.warned = time.Time{}
		close(id.changed)
		id.changed = make(chan struct{})
	}
	return trustChanged || pairChanged, err
}

func (id *Identity) reloadTrust() (changed bool, err error) {
	old := id.trust.Load()
	t, err := loadTrust(id.dir, id.name.federation)
	if err != nil {
		return false, err
	}
	for key, former := range old.revoked {
		if !t.trusts(key) {
			continue // its authority counts no longer, nor does what it signed
		}
		if list := t.revoked[key]; list == nil || list.number.Cmp(former.number) < 0 {
			return false, fmt.Errorf("%w: %s is older than the list that was read before, or lacks it: copy the newest from where `ringway keys revoke` ran", ErrRevocationList, certFile(id.dir, revokedName))
		}
	}
	if t.same(old) {
		return false, nil
	}
	id.trust.Store(t)
	return true, nil
}

func (t *trust) trusts(key authorityKey) bool {
	for _, a := range t.authorities {
		if authorityKeyOf(a) == key {
			return true
		}
	}
	return false
}

func (t *trust) same(other *trust) bool {
	if len(t.authorities) != len(other.authorities) || len(t.revoked) != len(other.revoked) {
		return false
	}
	for i := range t.authorities {
		if !t.authorities[i].Equal(other.authorities[i]) {
			return false
		}
	}
	for key, list := range t.revoked {
		if former := other.revoked[key]; former == nil || !bytes.Equal(former.raw, list.raw) {
			return false
		}
	}
	return true
}

func (id *Identity) reloadPair() (changed bool, err error) {
	p, err := loadPair(id.dir, id.name.node, id.name.site)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: is the file readable for the user that the node runs as?", err)
	}
	if err != nil {
		return false, err
	}
	if err := id.checkOwn(p); err != nil {
		return false, err
	}
	if p.leaf.Equal(id.pair.Load().leaf) {
		return false, nil
	}
	id.pair.Store(p)
	return true, nil
}

// warnOfExpiry warns once the certificate should have been renewed: each day, and each
// hour of the last one.
func (id *Identity) warnOfExpiry(log *slog.Logger) {
	leaf, now := id.pair.Load().leaf, id.now()
	left := leaf.NotAfter.Sub(now)
	if left > RenewAhead(Validity(leaf)) {
		return
	}
	again := 24 * time.Hour
	if left < again {
		again = time.Hour
	}
	id.mu.Lock()
	due := now.Sub(id.warned) >= again
	if due {
		id.warned = now
	}
	id.mu.Unlock()
	if due && left > 0 {
		log.Warn("certificate expires soon: renew it with `ringway keys renew` and copy it here; no restart is needed", "expires", leaf.NotAfter.UTC().Format(time.RFC3339), "left", left.Round(time.Second))
	} else if due {
		log.Error("certificate has expired: peers refuse this node; renew it with `ringway keys renew` and copy it here", "expired", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

// maxRenewAhead bounds RenewAhead for certificates that are valid for years.
const maxRenewAhead = 30 * 24 * time.Hour

// RenewAhead says how long before its end a certificate should be renewed: a third of
// its validity, at most 30 days.
func RenewAhead(validity time.Duration) time.Duration { return min(validity/3, maxRenewAhead) }

// Validity returns for how long a certificate was issued: what it reaches back is none of
// it. For one of another issuer, which may reach back less, it is a day too little at most.
func Validity(cert *x509.Certificate) time.Duration {
	validity := cert.NotAfter.Sub(cert.NotBefore)
	if validity > ClockSkew {
		validity -= ClockSkew
	}
	return validity
}

// A Status is what an operator wants to know of an identity.
type Status struct {
	Throwaway bool
	Serial    string    // of the certificate, in hexadecimal digits
	Expires   time.Time // when the certificate does
	RenewFrom time.Time // from when on it should be renewed
	Revoked   int       // certificates on the revocation lists
	Reloads   uint64    // changes that came into force since the start
	Failures  uint64    // attempts to read changed files that failed
	Problem   string    // why the latest attempt failed; empty: it did not
}

// Status returns the present state.
func (id *Identity) Status() Status {
	leaf := id.pair.Load().leaf
	s := Status{
		Throwaway: id.Throwaway(), Serial: serialText(leaf.SerialNumber), Expires: leaf.NotAfter,
		RenewFrom: leaf.NotAfter.Add(-RenewAhead(Validity(leaf))), Revoked: id.trust.Load().revoked.size(),
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	s.Reloads, s.Failures = id.reloads, id.failures
	if id.problem != nil {
		s.Problem = id.problem.Error()
	}
	return s
}
