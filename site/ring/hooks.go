package ring

// A mutant is a rule of RING.md section 2 switched off. Only this package's tests
// switch rules off: a checker that does not notice proves nothing when it is silent.
type mutant uint64

// off says whether a test has switched the rule off.
func (m *Machine) off(x mutant) bool { return m.cfg.off&x != 0 }
