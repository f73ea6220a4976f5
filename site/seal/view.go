package seal

import (
	"slices"

	"ringway/internal/window"
	"ringway/membership"
	"ringway/site/ring"
)

// maxViews bounds the rings whose keys are known: the installed one, the one being
// formed, and a few that did not come about. The oldest goes first, but never the
// installed one.
const maxViews = 6

// maxCounter is how many packets a node seals under one key. AES-GCM keeps its margin
// for some 2^50 blocks; at a million packets a second this lasts for 50 days. Then the
// ring is formed again, with a new key, for want of a token.
const maxCounter = 1 << 42

// A view is what is known of one ring's key.
type view struct {
	id        ring.ID
	key       key
	used      uint64
	offers    []byte // as in the commit token, to be passed on
	windows   map[membership.NodeID]*window.Window
	installed bool
}

func newView(id ring.ID, secret *Secret, offers []byte, self membership.NodeID) *view {
	v := &view{id: id, key: derive(secret, forView, ofRing(id)...), offers: slices.Clone(offers), windows: map[membership.NodeID]*window.Window{}}
	for _, n := range append(offered(offers), id.Representative) {
		if n != self {
			v.windows[n] = &window.Window{}
		}
	}
	return v
}

func (k *Keyring) view(id ring.ID) *view {
	for _, v := range k.views {
		if v.id == id {
			return v
		}
	}
	return nil
}

func (k *Keyring) addView(v *view) {
	if len(k.views) >= maxViews {
		oldest := slices.IndexFunc(k.views, func(v *view) bool { return !v.installed })
		k.views = slices.Delete(k.views, oldest, oldest+1)
	}
	k.views = append(k.views, v)
}

// found makes the key of a ring that this node is the first of.
func (k *Keyring) found(id ring.ID, members []membership.NodeID) (*view, error) {
	secret, err := k.secret()
	if err != nil {
		return nil, err
	}
	defer secret.erase()
	offers, err := k.offers(id, members, &secret)
	if err != nil {
		return nil, err
	}
	v := newView(id, &secret, offers, k.self)
	k.addView(v)
	return v, nil
}

// Installed tells that a ring is in force: the keys of older ones are forgotten.
func (k *Keyring) Installed(id ring.ID) {
	k.views = slices.DeleteFunc(k.views, func(v *view) bool { return v.id != id && v.id.Counter <= id.Counter })
	k.newest = max(k.newest, id.Counter)
	for _, v := range k.views {
		v.installed = v.id == id
	}
}
