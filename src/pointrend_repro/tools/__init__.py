"""Tools beside the pipeline: users' data folders, exports, benchmarks, checks of mask heads."""
