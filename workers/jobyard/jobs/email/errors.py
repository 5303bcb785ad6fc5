"""What can go wrong with an e-mail. A `PermanentError` buries the job at once; the others are retried by its policy."""

from __future__ import annotations

from jobyard.errors import JobyardError, PermanentError


class MailServerError(JobyardError):
    """No connection, a lost one, a time-out, a server that is shutting down (421), or an answer that is not SMTP."""


class MailDeferredError(JobyardError):
    """The server took the e-mail for nobody, and said that it may do so later (4xx)."""


class MailRefusedError(PermanentError):
    """The server will never take this e-mail (5xx), or can't send it at all."""


class MailSecurityError(PermanentError):
    """The connection can't be made secure: no TLS, a certificate that doesn't hold, or a login that was refused."""


class MailConfigError(PermanentError):
    """A setting `JOBYARD_SMTP_…` is missing or wrong."""


class AttachmentError(PermanentError):
    """An attachment doesn't exist, or the attachments are too large."""
