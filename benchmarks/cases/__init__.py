"""One measurement a file; see `pointrend_repro.tools.bench.case`."""
