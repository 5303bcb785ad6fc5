"""The sample jobs: every built-in job type on real input, with mixed priorities, a retry, and one that must fail."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from jobyard_operator.local.mail import REFUSED_DOMAIN
from jobyard_operator.local.pictures import PictureServer

if TYPE_CHECKING:
    from jobyard.broker import JobyardBroker

Outcome = Literal["completed", "dead"]

_ID: Final = re.compile(r"sample-\d{4}-\d{6}-[0-9a-f]{4}-(.+)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample job.

    Attributes:
        name: ends the job's id.
        actor: name of its actor.
        payload: its arguments.
        outcome: how it shall end.
    """

    name: str
    actor: str
    payload: dict[str, Any] = field(hash=False)
    outcome: Outcome = "completed"


def samples(pictures: PictureServer) -> list[Sample]:
    """All of them, in the order in which they are enqueued."""
    return [*_emails(pictures), *_images(pictures), *_reports()]


def enqueue(broker: JobyardBroker, wanted: list[Sample]) -> dict[str, Outcome]:
    """Enqueue them under ids that are new each time. Returns how each id shall end."""
    from jobyard import jobs

    run = f"sample-{datetime.now():%m%d-%H%M%S}-{secrets.token_hex(2)}"  # noqa: DTZ005 (for people: local time)
    messages = [
        getattr(jobs, one.actor).message_with_options(kwargs=one.payload).copy(message_id=f"{run}-{one.name}")
        for one in wanted
    ]
    broker.enqueue_many(messages)
    return {message.message_id: one.outcome for message, one in zip(messages, wanted, strict=True)}


def sample_name(job_id: str) -> str | None:
    """The name of a sample job, perhaps of an earlier run; None: it is none."""
    found = _ID.fullmatch(job_id)
    return found[1] if found is not None else None


def is_meant_to_die(job_id: str) -> bool:
    """Whether this is a sample job that ends as a dead letter on purpose."""
    return sample_name(job_id) in _MEANT_TO_DIE


_MEANT_TO_DIE: Final = frozenset({"email-to-nobody"})


def _emails(pictures: PictureServer) -> list[Sample]:
    def email(name: str, outcome: Outcome = "completed", **payload: Any) -> Sample:
        return Sample(f"email-{name}", "send_email", payload, outcome)

    return [
        email(
            "newsletter",
            to=[f"Reader {number} <reader{number}@example.org>" for number in range(1, 6)],
            bcc="archive@example.org",
            subject="What is new in November",
            body="Three things are new.\n\n1. Jobs\n2. Queues\n3. Workers\n",
            html="<h1>What is new</h1><ol><li>Jobs</li><li>Queues</li><li>Workers</li></ol>",
            priority="low",
        ),
        email(
            "welcome",
            to="Ada Lovelace <ada@example.org>",
            subject="Welcome!",
            body="Good to have you here, Ada.\n",
        ),
        email(
            "invoice",
            to="Grace Hopper <grace@example.org>",
            cc="accounting@example.com",
            subject="Your invoice 2025-0042",
            body="Dear Ms Hopper,\n\nthe invoice is attached.\n",
            html="<p>Dear Ms Hopper,</p><p>the <b>invoice</b> is attached.</p>",
            attachments=[{"filename": "logo.png", "url": pictures.url("logo.png")}],
        ),
        email(
            "umlauts",
            to="Jürgen Müller <juergen@example.org>",
            subject="Schöne Grüße aus Köln ☀",
            body="Straße, Übung, Ærø, Łódź, Ελλάδα, 東京 – all of it arrives.\n",
        ),
        email(
            "to-nobody",
            outcome="dead",
            to=f"nobody@nowhere{REFUSED_DOMAIN}",
            subject="This can't arrive",
            body="The mail server refuses the address for good: a dead letter, without a retry.\n",
        ),
        email(
            "password-reset",
            to="alan@example.org",
            reply_to="help@example.org",
            subject="Reset your password",
            body="Here is the link. It works for 15 minutes.\n",
            priority="critical",
        ),
    ]


def _images(pictures: PictureServer) -> list[Sample]:
    def image(name: str, path: str, priority: str | None = None, **transformations: Any) -> Sample:
        payload: dict[str, Any] = {"image_url": pictures.url(path), "transformations": transformations}
        if priority is not None:
            payload["priority"] = priority
        return Sample(f"image-{name}", "process_image", payload)

    made = [
        image("slow-download", "slow/landscape.jpg", resize={"width": 1600}, format="jpg"),
        image(
            "thumbnail",
            "landscape.jpg",
            priority="high",
            resize={"width": 320, "height": 200, "fit": "cover"},
            format="jpg",
            quality=80,
        ),
        image("large", "landscape.jpg", resize={"width": 1920, "height": 1080, "fit": "inside"}, format="webp"),
        image(
            "padded",
            "landscape.jpg",
            resize={"width": 600, "height": 600, "fit": "contain"},
            background="#ffffff",
            format="png",
        ),
        image("transparent", "logo.png", resize={"width": 256}, format="webp", quality=90),
        image("retried", pictures.flaky("landscape.jpg"), resize={"height": 400}, format="jpg"),
    ]
    if _can_write_avif():
        made.append(image("avif", "landscape.jpg", priority="low", resize={"width": 640}, format="avif", quality=55))
    return made


def _reports() -> list[Sample]:
    def report(kind: str, to: str, user: str, start: str, end: str, priority: str = "normal") -> Sample:
        payload = {
            "report_type": kind,
            "date_range": {"start": start, "end": end},
            "user_id": user,
            "format": to,
            "priority": priority,
        }
        return Sample(f"report-{kind}-{to}", "generate_report", payload)

    return [
        report("sales", "csv", "1", "2025-01-01", "2025-12-31", "low"),
        report("sales", "xlsx", "1", "2025-01-01", "2025-06-30"),
        report("sales", "pdf", "1", "2025-01-01", "2025-12-31", "high"),
        report("sales", "html", "3", "2025-07-01", "2025-09-30"),
        report("analytics", "csv", "2", "2025-11-01", "2025-11-30"),
        report("analytics", "xlsx", "2", "2025-12-01", "2025-12-31", "low"),
        report("analytics", "pdf", "4", "2025-01-01", "2025-12-31"),
        report("analytics", "html", "2", "2025-10-01", "2025-12-31"),
    ]


def _can_write_avif() -> bool:
    from PIL import features

    return bool(features.check("avif"))
