package merge

// An interner turns names in packets into strings that are allocated once. It
// forgets everything when it is full, which costs time only.
type interner struct {
	names map[string]*interned
}

type interned struct {
	name string
	list []string // name alone
}

func (t *interner) get(b []byte) *interned {
	if n, ok := t.names[string(b)]; ok {
		return n
	}
	if t.names == nil || len(t.names) >= maxInterned {
		t.names = map[string]*interned{}
	}
	n := &interned{name: string(b)}
	n.list = []string{n.name}
	t.names[n.name] = n
	return n
}

func (t *interner) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return t.get(b).name
}
