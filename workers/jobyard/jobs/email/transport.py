"""Gives an e-mail to the mail server, and tells who gets it.

A transaction names the recipients one by one (RCPT), then sends the text once (DATA); the server may take some
recipients and not others. Until DATA nothing has been sent, so a connection that turns out to be dead before is simply
replaced.
"""

from __future__ import annotations

import smtplib
from dataclasses import dataclass, field

from jobyard.jobs.email.connection import Connector, error_for, smtp_errors
from jobyard.jobs.email.errors import MailRefusedError, MailServerError
from jobyard.jobs.email.pool import ConnectionPool
from jobyard.jobs.email.reply import Reply
from jobyard.jobs.email.settings import SmtpSettings


@dataclass(frozen=True, slots=True)
class Envelope:
    """An e-mail that is ready to go.

    Attributes:
        sender: the bare address that bounces go to.
        recipients: the bare addresses.
        data: the e-mail as it goes over the wire.
        needs_utf8: whether an address or a header is not ASCII, so that only a server with SMTPUTF8 can take it.
    """

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    needs_utf8: bool


@dataclass(slots=True)
class Delivery:
    """What the server said about each recipient.

    Attributes:
        accepted: those whom the server will deliver to.
        refused: those whom it won't ever (5xx), with its reply.
        deferred: those whom it may take later (4xx), with its reply.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, Reply] = field(default_factory=dict)
    deferred: dict[str, Reply] = field(default_factory=dict)

    def note(self, recipient: str, reply: Reply) -> None:
        if reply.accepted:
            self.accepted.append(recipient)
        elif reply.final:
            self.refused[recipient] = reply
        else:
            self.deferred[recipient] = reply

    def fail(self, reply: Reply) -> None:
        """Nobody gets it after all: what the server said to the whole holds for all whom it had accepted."""
        candidates, self.accepted = self.accepted, []
        for recipient in candidates:
            self.note(recipient, reply)


class Transport:
    """The way to the mail server. Safe to use from many threads."""

    def __init__(self, settings: SmtpSettings) -> None:
        host, port = settings.address
        self._where = f"mail server {host}:{port}"
        self._pool = ConnectionPool(
            Connector(settings), size=settings.pool_size, idle=settings.pool_idle, wait=settings.timeout
        )

    def deliver(self, mail: Envelope) -> Delivery:
        """Give `mail` to the server.

        Returns: what became of each recipient. If some were accepted, raising would send it to them again.

        Raises:
            MailServerError: no connection, or it was lost. If the server had the text by then and had not yet answered,
                it may have taken it.
            MailDeferredError, MailRefusedError, MailSecurityError, MailConfigError: the server didn't let us in.
            MailRefusedError: the e-mail needs SMTPUTF8, which the server doesn't have.
        """
        delivery = self._transact(mail, mail.recipients)
        while delivery.accepted:
            # A server that has taken as many recipients as it takes at once wants the others in another transaction
            # (RFC 5321, section 4.5.3.1.10). Each round gets somebody accepted, or is the last.
            rest = tuple(recipient for recipient, reply in delivery.deferred.items() if reply.too_many_recipients)
            if not rest:
                break
            try:
                more = self._transact(mail, rest)
            except MailServerError:
                break  # The rest stays deferred: those who were accepted must not get it twice.
            delivery.accepted += more.accepted
            delivery.refused |= more.refused
            for recipient in rest:
                del delivery.deferred[recipient]
            delivery.deferred |= more.deferred
            if not more.accepted:
                break
        return delivery

    def close(self) -> None:
        """Close the connections that are not in use; the others when they are given back."""
        self._pool.close()

    def _transact(self, mail: Envelope, recipients: tuple[str, ...]) -> Delivery:
        transaction = _Transaction(mail, recipients, self._where)
        with self._pool.connection() as connection:
            try:
                return transaction.run(connection.smtp)
            except MailServerError:
                if transaction.text_is_out or not connection.reused:
                    raise
                connection.smtp.close()
        # It was open since an earlier job, and the server has hung up since or did so now, with 421.
        with self._pool.connection(fresh=True) as connection:
            return transaction.run(connection.smtp)


class _Transaction:
    def __init__(self, mail: Envelope, recipients: tuple[str, ...], where: str) -> None:
        self.mail = mail
        self.recipients = recipients
        self.where = where
        self.text_is_out = False

    def run(self, smtp: smtplib.SMTP) -> Delivery:
        with smtp_errors(self.where):
            delivery = self._dialogue(smtp)
        if not delivery.accepted:
            try:
                smtp.rset()  # The connection is well: the next e-mail begins anew.
            except (OSError, smtplib.SMTPException):
                smtp.close()  # It was not. What the server said before holds all the same.
        return delivery

    def _dialogue(self, smtp: smtplib.SMTP) -> Delivery:
        delivery = Delivery(accepted=list(self.recipients))
        reply = self._understood(smtp, *smtp.mail(self.mail.sender, self._options(smtp)))
        if not reply.accepted:
            delivery.fail(reply)
            return delivery

        delivery = Delivery()
        for recipient in self.recipients:
            delivery.note(recipient, self._understood(smtp, *smtp.rcpt(recipient)))
        if not delivery.accepted:
            return delivery

        self.text_is_out = True
        try:
            reply = self._understood(smtp, *smtp.data(self.mail.data))
        except smtplib.SMTPDataError as error:  # Not even "354 go ahead".
            reply = self._understood(smtp, error.smtp_code, error.smtp_error)
        if not reply.accepted:
            delivery.fail(reply)
        return delivery

    def _options(self, smtp: smtplib.SMTP) -> list[str]:
        options = []
        if smtp.has_extn("size"):
            options.append(f"SIZE={len(self.mail.data)}")
        if self.mail.needs_utf8:
            if not smtp.has_extn("smtputf8"):
                raise MailRefusedError(
                    f"an address of this e-mail is not ASCII before the '@', and {self.where} can't handle that: "
                    "it does not offer SMTPUTF8"
                )
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        return options

    def _understood(self, smtp: smtplib.SMTP, code: int, text: bytes | str) -> Reply:
        """The reply, if it is one that the dialogue can go on from."""
        reply = Reply.of(code, text)
        if reply.closing or not (reply.accepted or reply.temporary or reply.final):
            smtp.close()
            raise error_for(reply, self.where)
        return reply
