// Command benchviews measures how long a site takes to notice and mend what goes wrong,
// with real nodes in network namespaces. scripts/bench-views builds and runs it;
// docs/faults.md has results.
package main
