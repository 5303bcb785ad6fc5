"""Settings of the REST API and the dashboard, from environment variables `JOBYARD_…`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.errors import JobyardError
from jobyard.web.tokens import Keyring, Scope, TokenHash, parse_hashes

SHORTEST_TOKEN: Final = 16

# RFC 6750, section 2.1: what a bearer token may consist of.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class WebConfigError(JobyardError):
    """The REST API can't be served as the settings say; the message says why and what to do."""


class WebSettings(BaseSettings):
    """Where to listen, and who may come in.

    Attributes:
        web_host: `JOBYARD_WEB_HOST`, the address to listen on. Without a token only a loopback address will do.
        web_port: `JOBYARD_WEB_PORT`; 0: one that the system chooses.
        token: `JOBYARD_TOKEN`. Who comes with `Authorization: Bearer …` may do everything; nobody else may do anything.
            None, and no other token: whoever can reach the loopback address may, and browsers only from our own pages.
        web_tokens: `JOBYARD_WEB_TOKENS`, hashes of further tokens, each with its scope; see `jobyard.web.tokens`.
        web_tokens_file: `JOBYARD_WEB_TOKENS_FILE`, a file of such lines. Read at the start.
        web_threads: `JOBYARD_WEB_THREADS`, how many calls to Redis are made at the same time.
    """

    model_config = SettingsConfigDict(
        env_prefix="JOBYARD_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8080, ge=0, le=65535)
    token: SecretStr | None = None
    web_tokens: str | None = None
    web_tokens_file: Path | None = None
    web_threads: int = Field(default=8, ge=1, le=256)

    @field_validator("web_tokens")
    @classmethod
    def _are_hashes(cls, text: str | None) -> str | None:
        if text is not None:
            parse_hashes(text)
        return text

    @field_validator("token")
    @classmethod
    def _can_be_sent_and_not_be_guessed(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            text = token.get_secret_value()
            if not _TOKEN.fullmatch(text):
                raise ValueError("a token consists of letters, digits and . _ ~ + / - only")
            if len(text) < SHORTEST_TOKEN:
                raise ValueError(
                    f"a token has at least {SHORTEST_TOKEN} characters; make one with: "
                    "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
        return token

    def keyring(self) -> Keyring | None:
        """The tokens that are good here. None: none is set, so that only the machine itself may be let in.

        Raises:
            WebConfigError: the file can't be read, or holds something else.
        """
        if self.token is None and self.web_tokens is None and self.web_tokens_file is None:
            return None
        hashes = parse_hashes(self.web_tokens or "")
        if self.token is not None:
            hashes.append(TokenHash.of(self.token.get_secret_value(), Scope.ADMIN))
        if self.web_tokens_file is not None:
            try:
                hashes += parse_hashes(self.web_tokens_file.read_text(encoding="utf-8"))
            except OSError as error:
                raise WebConfigError(
                    f"JOBYARD_WEB_TOKENS_FILE: {self.web_tokens_file} can't be read: {error.strerror or error}"
                ) from None
            except ValueError as error:
                raise WebConfigError(f"JOBYARD_WEB_TOKENS_FILE: {self.web_tokens_file}: {error}") from None
        if not hashes:
            raise WebConfigError(
                "JOBYARD_WEB_TOKENS and its file name no token, so nobody could come in: see `jobyard serve token create`"
            )
        return Keyring(hashes)


def read_settings(**given: Any) -> WebSettings:
    """The settings from the environment; what is given (and not None) goes before it.

    Raises:
        WebConfigError: names each setting that is wrong, without showing what it holds.
    """
    try:
        return WebSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = [
            f"JOBYARD_{str(detail['loc'][0]).upper()}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise WebConfigError("; ".join(wrong)) from None
