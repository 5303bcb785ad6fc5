"""The process that a worker pod runs: supervisor, its children, drain, probes."""
