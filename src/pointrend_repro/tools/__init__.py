"""Around the pipeline: folders of the user's, exports, benchmarks, checks of mask heads."""
