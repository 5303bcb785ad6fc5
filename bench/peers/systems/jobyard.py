"""Jobyard, as this checkout has it: default middleware, all guarantees."""

import work

import jobyard

ACTORS = {kind: jobyard.actor(queue_name="bench", actor_name=kind)(job) for kind, job in work.JOBS.items()}


def send(kind: str, payload: str) -> None:
    ACTORS[kind].send(payload)


def send_many(kind: str, payloads: list[str]) -> None:
    jobyard.get_broker().enqueue_many(ACTORS[kind].message(payload) for payload in payloads)
