"""The job type `send_email`: an e-mail over SMTP.

    from jobyard.jobs.email import send_email

    send_email.send(to="Ada <ada@example.org>", subject="Hello", body="Good morning!")

What a payload may hold is `SendEmail`, the settings are `SmtpSettings` (`JOBYARD_SMTP_…`).
"""

from jobyard.jobs.email.errors import (
    AttachmentError,
    MailConfigError,
    MailDeferredError,
    MailRefusedError,
    MailSecurityError,
    MailServerError,
)
from jobyard.jobs.email.job import close_connections, send_email
from jobyard.jobs.email.payload import Attachment, SendEmail
from jobyard.jobs.email.settings import SmtpSettings

__all__ = [
    "Attachment",
    "AttachmentError",
    "MailConfigError",
    "MailDeferredError",
    "MailRefusedError",
    "MailSecurityError",
    "MailServerError",
    "SendEmail",
    "SmtpSettings",
    "close_connections",
    "send_email",
]
