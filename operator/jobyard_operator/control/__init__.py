"""What the leader does for each JobQueue: look, decide, act, say. What is decided is in `core`; this is how it comes about."""
