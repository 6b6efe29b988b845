"""One command a claim: every figure of docs/performance.md is measured here, in parallel with its alternative."""
