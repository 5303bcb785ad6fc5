"""The actor `send_email`."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import jobyard
from jobyard.context import current_job
from jobyard.jobs.email.address import Address, parse_address
from jobyard.jobs.email.attachments import load
from jobyard.jobs.email.errors import MailConfigError, MailDeferredError, MailRefusedError
from jobyard.jobs.email.message import build
from jobyard.jobs.email.payload import SendEmail
from jobyard.jobs.email.settings import SmtpSettings, get_settings
from jobyard.jobs.email.transport import Delivery, Transport

# 3 attempts: at once, 2 s after the first failure, 4 s after the second.
RETRY: Final = jobyard.RetryPolicy(attempts=3, initial=2, factor=2)

_FOLLOW_UPS: Final = uuid.UUID("5e0c3c4e-8d0f-5c55-9f0a-6f3a5f0b7a11")

_transport_lock: Final = threading.Lock()
_transport: Transport | None = None


@jobyard.actor(queue_name="emails", payload=SendEmail, retry=RETRY)
def send_email(email: SendEmail) -> dict[str, Any]:
    """Send an e-mail.

    Returns: `{"message_id", "accepted": [address], "refused": {address: reply}, "deferred": {address: reply},
        "follow_up": job id or None}`. The follow-up is the job that tries the deferred recipients again.

    Raises:
        PermanentError: it can never be sent; its subclasses in `jobyard.jobs.email.errors` say why.
        MailDeferredError, MailServerError: nobody got it, and it may work later.
        DownloadError, RetryAfter: an attachment could not be downloaded yet.
    """
    settings = get_settings()
    sender = _sender(email, settings)
    message_id = email.message_id or _message_id(sender)
    envelope = build(
        email,
        sender=sender,
        message_id=message_id,
        date=datetime.now(UTC),
        files=load(email.attachments, settings.max_attachment_bytes),
    )
    delivery = _get_transport(settings).deliver(envelope)
    if not delivery.accepted:
        raise _failure(delivery)
    return {
        "message_id": message_id,
        "accepted": delivery.accepted,
        "refused": {recipient: str(reply) for recipient, reply in delivery.refused.items()},
        "deferred": {recipient: str(reply) for recipient, reply in delivery.deferred.items()},
        "follow_up": _follow_up(email, message_id, delivery) if delivery.deferred else None,
    }


def close_connections() -> None:
    """Close the connections to the mail server, and read the settings again when the next e-mail is sent."""
    global _transport
    with _transport_lock:
        former, _transport = _transport, None
        get_settings.cache_clear()
    if former is not None:
        former.close()


def _get_transport(settings: SmtpSettings) -> Transport:
    global _transport
    with _transport_lock:
        if _transport is None:
            _transport = Transport(settings)
        return _transport


def _sender(email: SendEmail, settings: SmtpSettings) -> Address:
    text = email.from_ or settings.from_address
    if text is None:
        raise MailConfigError("the e-mail names no sender: give `from`, or set JOBYARD_SMTP_FROM_ADDRESS")
    return parse_address(text)


def _message_id(sender: Address) -> str:
    """The same at each attempt of a job, so that a mailbox that got the e-mail twice can tell."""
    job = current_job()
    unique = uuid.uuid4().hex if job is None else job.id
    if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", unique):
        # Ids are chosen by the client, and may have characters that can't be in a Message-ID.
        unique = hashlib.sha256(unique.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{unique}.jobyard@{sender.domain}>"


def _failure(delivery: Delivery) -> Exception:
    replies = [f"{recipient}: {reply}" for recipient, reply in (delivery.deferred | delivery.refused).items()]
    said = "; ".join(replies[:5]) + (f"; and {len(replies) - 5} more" if len(replies) > 5 else "")
    if delivery.deferred:
        return MailDeferredError(f"the mail server accepted no recipient for now: {said}")
    return MailRefusedError(f"the mail server refused every recipient: {said}")


def _follow_up(email: SendEmail, message_id: str, delivery: Delivery) -> str | None:
    """Enqueue the e-mail for the deferred recipients alone: trying this job again would send it twice to the others.

    If the broker can't take it, the error is raised and this job is tried again: better twice, with one Message-ID,
    than lost. The id is derived from this job's, so that the broker takes it once if this job runs again after a crash.
    """
    job = current_job()
    if job is None:
        return None  # Called directly: whoever called sees who was deferred.
    again = email.model_copy(update={"only_to": list(delivery.deferred), "message_id": message_id})
    message = send_email.message_with_options(args=(again,)).copy(message_id=str(uuid.uuid5(_FOLLOW_UPS, job.id)))
    delay = RETRY.wait(1) or 0.0
    send_email.broker.enqueue(message, delay=round(delay * 1000))
    return str(message.message_id)
