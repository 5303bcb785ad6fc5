"""Settings of outgoing mail, from `JOBYARD_SMTP_…` environment variables."""

from __future__ import annotations

import functools
import ipaddress
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.jobs.email.address import AddressError, parse_address
from jobyard.jobs.email.errors import MailConfigError
from jobyard.jobs.email.text import is_one_line

_PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}


class SmtpSettings(BaseSettings):
    """The server that takes outgoing mail, and how it is used.

    Attributes:
        host: its name. Needed.
        port: None: 25, 587 or 465, as `security` is none, starttls or tls.
        security: `starttls` (a plain connection is made secure before anything is said; never goes on without), `tls`
            (secure from the start) or `none`.
        username: None: no login.
        password: for the login.
        password_file: a file that holds the password, read at each login: a changed secret is taken up.
        allow_plaintext_login: send the password over an insecure connection. A loopback address needs no leave.
        ca_file: a PEM file with the certificate authorities to trust instead of the system's.
        from_address: the sender of e-mails that name none, `Shop <shop@example.org>`.
        timeout: seconds to wait for the connection, and for each answer. Servers may take minutes to check an e-mail.
        pool_size: connections that one process keeps at most; a job that finds all in use waits.
        pool_idle: seconds; a connection that was not used for so long is closed.
        helo_name: the name by which this client introduces itself; None: the machine's full name.
        max_attachment_bytes: what the attachments of one e-mail may have together. In the e-mail they take 4/3 of it.
    """

    # A validation error would show what was put in, the password for one.
    model_config = SettingsConfigDict(
        env_prefix="JOBYARD_SMTP_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    allow_plaintext_login: bool = False
    ca_file: Path | None = None
    from_address: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    pool_size: int = Field(default=4, ge=1)
    pool_idle: float = Field(default=60.0, gt=0)
    helo_name: str | None = None
    max_attachment_bytes: int = Field(default=18 * 1024 * 1024, ge=0)

    @field_validator("from_address")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_address(value)
            except AddressError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("host", "username", "helo_name")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and not is_one_line(value):
            raise ValueError("control characters and line breaks are not allowed")
        return value

    @model_validator(mode="after")
    def _login_is_complete_and_safe(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give JOBYARD_SMTP_PASSWORD or JOBYARD_SMTP_PASSWORD_FILE, not both")
        has_password = self.password is not None or self.password_file is not None
        if has_password != (self.username is not None):
            raise ValueError("a login needs JOBYARD_SMTP_USERNAME, and JOBYARD_SMTP_PASSWORD or …_PASSWORD_FILE")
        if has_password and self.security == "none" and not (self.allow_plaintext_login or _is_loopback(self.host)):
            raise ValueError(
                "with JOBYARD_SMTP_SECURITY=none the password would cross the network readable for everybody; use "
                "starttls or tls, or set JOBYARD_SMTP_ALLOW_PLAINTEXT_LOGIN=true"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port.

        Raises:
            MailConfigError: no host is set.
        """
        if self.host is None:
            raise MailConfigError("no mail server is configured: set JOBYARD_SMTP_HOST")
        return self.host, self.port or _PORTS[self.security]

    def read_password(self) -> str:
        """The password, as it is now.

        Raises:
            MailConfigError: its file can't be read.
        """
        if self.password is not None:
            return self.password.get_secret_value()
        assert self.password_file is not None
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            # A decoding error would show a part of the file.
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise MailConfigError(
                f"the file {self.password_file} of JOBYARD_SMTP_PASSWORD_FILE can't be read: {reason}"
            ) from None


@functools.lru_cache(maxsize=1)
def get_settings() -> SmtpSettings:
    """The settings of this process, read once. `get_settings.cache_clear()` makes it read them again.

    Raises:
        MailConfigError: names each setting that is wrong.
    """
    try:
        return SmtpSettings()
    except ValidationError as error:
        wrong = [
            ("JOBYARD_SMTP_" + str(detail["loc"][0]).upper() + ": " if detail["loc"] else "") + detail["msg"]
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise MailConfigError("; ".join(wrong)) from None


def _is_loopback(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
