"""`on_dead`: an actor that is told when a job becomes a dead letter, whatever the reason."""

from __future__ import annotations

from typing import Any

from dramatiq.middleware import Middleware


class Deaths(Middleware):
    """Sends the job to the actor named by the option `on_dead` (of the message, or of its actor).

    The actor gets two arguments: the message as a dict, and `{"type": …, "message": …}` of the last error. That
    job is accepted by the very script that buries the dead one.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"on_dead"}

    def before_nack(self, broker: Any, message: Any) -> None:
        actor = broker.actors.get(message.actor_name)
        target = message.options.get("on_dead") or (actor and actor.options.get("on_dead"))
        if target:
            error = message._exception
            broker.get_actor(target).send(
                message.asdict(), {"type": type(error).__name__ if error else "unknown", "message": str(error or "")}
            )
