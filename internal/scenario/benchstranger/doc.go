// Command benchstranger measures what a machine without a certificate that floods a site's
// LAN does to the site's throughput, with real nodes in network namespaces.
// scripts/bench-stranger builds and runs it; docs/performance.md has results.
package main
