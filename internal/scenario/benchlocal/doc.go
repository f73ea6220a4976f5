// Command benchlocal measures how long messages within a site take while the links between
// sites are cut and healed again and again, or get far too thin for what is sent, next to
// when they are well, with real nodes in a lab. scripts/bench-local builds and runs it;
// docs/performance.md has results.
package main
