"""What the control plane does in Redis: it looks at queues, sets their policies, and sees to the jobs of pods that are gone.

Synchronous, and usable from several threads: each has its own connection. What sets a policy, or is to be remembered, carries
the epoch of the operator that leads, and is refused (`Superseded`) when a later one has written.
"""
