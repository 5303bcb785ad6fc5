"""Opens connections to the mail server: secure, logged in, with errors that say what is the matter."""

from __future__ import annotations

import base64
import functools
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from jobyard.jobs.email.errors import (
    MailConfigError,
    MailDeferredError,
    MailRefusedError,
    MailSecurityError,
    MailServerError,
)
from jobyard.jobs.email.reply import Reply
from jobyard.jobs.email.settings import SmtpSettings
from jobyard.jobs.email.text import one_line


class Connector:
    """Opens connections as the settings say."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    def __call__(self) -> smtplib.SMTP:
        """A connection that is ready to take an e-mail.

        Raises:
            MailServerError: it can't be reached, or hangs up.
            MailDeferredError: the server says that it can't now (4xx).
            MailRefusedError: the server says that it won't (5xx).
            MailSecurityError: the connection can't be made secure, or the login fails.
            MailConfigError: a setting is missing.
        """
        settings = self._settings
        host, port = settings.address
        where = f"mail server {host}:{port}"
        with smtp_errors(where):
            if settings.security == "tls":
                smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    host, port, settings.helo_name, timeout=settings.timeout, context=self._context
                )
            else:
                smtp = smtplib.SMTP(host, port, settings.helo_name, timeout=settings.timeout)
            try:
                smtp.ehlo_or_helo_if_needed()
                if settings.security == "starttls":
                    _start_tls(smtp, self._context, where)
                if settings.username is not None:
                    _log_in(smtp, settings.username, settings.read_password(), where)
            except BaseException:
                smtp.close()
                raise
        return smtp

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        # Verifies the certificate and the host name.
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise MailConfigError(f"JOBYARD_SMTP_CA_FILE ({self._settings.ca_file}) can't be used: {error}") from error


@contextmanager
def smtp_errors(where: str) -> Iterator[None]:
    """Turn what smtplib, sockets and TLS raise into the errors of this package."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise MailSecurityError(
            f"the certificate of {where} does not hold: {error.verify_message}; for an authority of your own set "
            "JOBYARD_SMTP_CA_FILE"
        ) from error
    except ssl.SSLError as error:
        raise MailServerError(f"no TLS with {where}: {error}; does JOBYARD_SMTP_SECURITY fit the port?") from error
    except smtplib.SMTPResponseException as error:
        raise error_for(Reply.of(error.smtp_code, error.smtp_error), where) from error
    except (OSError, smtplib.SMTPException) as error:
        raise MailServerError(f"{where}: {one_line(str(error)) or type(error).__name__}") from error


def error_for(reply: Reply, where: str) -> MailDeferredError | MailRefusedError | MailServerError:
    """The error that a reply to the client as a whole, not about a recipient, amounts to."""
    if reply.closing:
        return MailServerError(f"{where} is closing the connection: {reply}")
    if reply.temporary:
        return MailDeferredError(f"{where} says: {reply}")
    if reply.final:
        return MailRefusedError(f"{where} says: {reply}")
    return MailServerError(f"{where} gave an answer that can't be understood: {reply}")


def hang_up(smtp: smtplib.SMTP, patience: float = 1.0) -> None:
    """Say goodbye, and close whether it is answered or not.

    Args:
        patience: seconds to wait for the answer.
    """
    try:
        if smtp.sock is not None:
            smtp.sock.settimeout(patience)
            smtp.quit()
    except (OSError, smtplib.SMTPException):
        pass  # It is closed already, then.
    finally:
        smtp.close()


def _start_tls(smtp: smtplib.SMTP, context: ssl.SSLContext, where: str) -> None:
    if not smtp.has_extn("starttls"):
        raise MailSecurityError(
            f"{where} does not offer STARTTLS; nothing was sent. Set JOBYARD_SMTP_SECURITY=tls if this port speaks TLS "
            "from the start, or =none if you trust the network"
        )
    smtp.starttls(context=context)
    # What was said before TLS doesn't count.
    smtp.ehlo_or_helo_if_needed()


def _log_in(smtp: smtplib.SMTP, username: str, password: str, where: str) -> None:
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    if not offered:
        raise MailSecurityError(f"{where} does not offer a login; unset JOBYARD_SMTP_USERNAME if it needs none")
    if "PLAIN" in offered:
        # Not by smtplib.login(): it prefers CRAM-MD5, which is weaker under TLS, and takes ASCII only.
        secret = base64.b64encode(f"\0{username}\0{password}".encode()).decode("ascii")
        reply = Reply.of(*smtp.docmd("AUTH", f"PLAIN {secret}"))
        if not reply.accepted:
            raise _login_error(reply, username, where)
        return
    if not (username + password).isascii():
        raise MailSecurityError(f"{where} takes only ASCII in a login, since it doesn't offer AUTH PLAIN")
    try:
        smtp.login(username, password)
    except smtplib.SMTPAuthenticationError as error:
        raise _login_error(Reply.of(error.smtp_code, error.smtp_error), username, where) from error
    except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected):
        raise
    except smtplib.SMTPException as error:
        raise MailSecurityError(f"{where} offers no login that is known here: {' '.join(offered)}") from error


def _login_error(reply: Reply, username: str, where: str) -> Exception:
    if reply.final:
        return MailSecurityError(f"{where} refused the login of {username!r}: {reply}")
    return error_for(reply, where)
