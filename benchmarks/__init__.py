"""One command a claim: every figure of docs/performance.md is measured here, side by side with its alternative."""
