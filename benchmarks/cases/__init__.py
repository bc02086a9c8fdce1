"""One measurement a file; see `pointrend_repro.bench.case`."""
