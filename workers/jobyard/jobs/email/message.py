"""Builds the e-mail itself: headers, text, HTML, attachments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage

from jobyard.jobs.email.address import Address, parse_address
from jobyard.jobs.email.headers import POLICY, address_header, id_header, text_header
from jobyard.jobs.email.payload import SendEmail
from jobyard.jobs.email.transport import Envelope


@dataclass(frozen=True, slots=True)
class File:
    """An attachment, loaded.

    Attributes:
        content_type: the media type, such as `application/pdf`.
    """

    filename: str
    content_type: str
    content: bytes


def build(
    email: SendEmail, *, sender: Address, message_id: str, date: datetime, files: Iterable[File] = ()
) -> Envelope:
    """The e-mail, ready to go. Bcc recipients are in the envelope only.

    Args:
        date: with a time zone.
    """
    headers = {
        "From": [sender],
        "To": [parse_address(text) for text in email.to],
        "Cc": [parse_address(text) for text in email.cc],
        "Reply-To": [parse_address(text) for text in email.reply_to],
    }
    message = EmailMessage(policy=POLICY)
    message["Subject"] = text_header("Subject", email.subject)
    for name, addresses in headers.items():
        if addresses:
            message[name] = address_header(name, addresses)
    message["Date"] = date
    message["Message-ID"] = id_header("Message-ID", message_id)

    message.set_content(email.body)
    if email.html is not None:
        message.add_alternative(email.html, subtype="html")
    for file in files:
        maintype, _, subtype = file.content_type.partition("/")
        message.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.filename)

    recipients = email.recipients()
    shown = [address for addresses in headers.values() for address in addresses]
    return Envelope(
        sender=sender.spec,
        recipients=tuple(recipients),
        data=message.as_bytes(),
        needs_utf8=any(address.needs_utf8 for address in (*shown, *recipients.values())),
    )
