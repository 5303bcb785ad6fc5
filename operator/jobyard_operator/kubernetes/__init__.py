"""Speaks with the API server: requests, watches, the leader's lease, events. Decides nothing."""
