package ring
import ("testing";"time";"fmt";"ringway/membership")
func TestDbg(t *testing.T) {
	s := newSim(1, 3)
	s.startAll()
	s.run(time.Second, s.settled)
	s.run(time.Second, s.resting)
	s.trace = func(f string, a ...any) { fmt.Printf("%v ", s.now); fmt.Printf(f+"\n", a...) }
	s.nodes[0].submit(1, membership.Agreed, 100)
	s.run(40*time.Millisecond, nil)
}
