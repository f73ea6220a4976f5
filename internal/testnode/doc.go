// Package testnode runs real nodes, each a process of its own, for the tests of programs
// that are their clients: examples, mostly. A test binary is its own node:
//
//	func TestMain(m *testing.M) { testnode.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		f := testnode.Start(t, testnode.Site{Name: "lon", Nodes: 3})
//		conn, err := client.Dial(ctx, f.Address("lon-1"), client.Options{})
//		f.Kill("lon-2")
//	}
//
// All nodes are on loopback. A node ends with its test, and also when the test's process
// dies: it reads from a pipe that ends then. What it logs is shown when the test fails.
//
// It may import site and topology, and only tests import it.
package testnode
