"""Moving the jobs of other systems out of their queues in Redis into ours, losing nothing: `jobyard import`.

One module a system knows that system's layout, and nothing of ours: `dramatiq_queue`, `celery_queue`, `rq_queue`. `mover` does
the moving, in the one order in which nothing can get lost. None of these systems has to be installed, and nothing that they
stored is ever executed: a pickle is read by `literal_pickle`, which knows plain values only.
"""
