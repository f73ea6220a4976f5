package membership

import "fmt"

// A Service is the guarantee that a message is sent with. Every service gives
// what the ones below it give; causal is delivered as agreed.
type Service uint8

// The services, weakest first.
const (
	Unreliable Service = iota + 1 // may be lost, no order
	Reliable                      // arrives, no order
	FIFO                          // in its sender's order
	Causal                        // after everything it depends on
	Agreed                        // in one total order everywhere
	Safe                          // agreed, and every member's node holds it
)

var serviceNames = [...]string{Unreliable: "unreliable", Reliable: "reliable", FIFO: "fifo", Causal: "causal", Agreed: "agreed", Safe: "safe"}

// Valid says whether s is one of the six services.
func (s Service) Valid() bool { return s >= Unreliable && s <= Safe }

// Ordered says whether s takes part in the total order.
func (s Service) Ordered() bool { return s >= Causal }

func (s Service) String() string {
	if s.Valid() {
		return serviceNames[s]
	}
	return fmt.Sprintf("service(%d)", uint8(s))
}

// ParseService returns the service of that name.
func ParseService(name string) (Service, error) {
	for s := Unreliable; s <= Safe; s++ {
		if serviceNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("service %q is not one of unreliable, reliable, fifo, causal, agreed, safe", name)
}
