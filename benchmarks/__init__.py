"""Benchmarks, one command per figure of docs/performance.md, each measured together with its baseline."""
