"""Who may come in: the token where one is set, and no foreign web page behind a visitor's back. Sets security headers.

Without a token the server listens on the loopback only. What can reach that is any page in a browser on the same machine:
by its own name that resolves to 127.0.0.1 (DNS rebinding, hence the check of Host), or across sites (hence the checks of
Origin, Sec-Fetch-Site and Content-Type; a request that a page can make without asking first carries one of them wrong).
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobyard.web.problems import Kind, Problem
from jobyard.web.settings import WebSettings
from jobyard.web.tokens import Keyring
from jobyard.web.tokens import Scope as Access

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

#: Nothing but our own files; no inline script, no frame around us; text never becomes markup.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
#: Where the ASGI scope says what the token of the request is good for.
ACCESS: Final = "jobyard.access"

_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._keyring = settings.keyring()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except Problem as problem:
            await problem.response()(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if self._keyring is None:
            _check_host(headers)
            scope[ACCESS] = Access.ADMIN
        elif scope["path"].startswith("/api/"):
            # The dashboard's files hold no secrets, and a probe of /healthz has no token.
            scope[ACCESS] = _check_token(headers, self._keyring)
        if scope["method"] not in _SAFE_METHODS:
            _check_origin(headers)
            _check_content_type(headers)


def is_loopback(host: str) -> bool:
    """Whether this is a name or an address of the machine itself that nobody else can mean."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host(headers: Headers) -> None:
    host = headers.get("host", "")
    if not is_loopback(_host_name(host)):
        raise Problem(
            Kind.WRONG_HOST,
            f"Without a token this is served to localhost only, not as {host[:100]!r}. Set JOBYARD_TOKEN to serve others.",
        )


def _check_token(headers: Headers, keyring: Keyring) -> Access:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    access = keyring.scope_of(given.strip()) if scheme.lower() == "bearer" else None
    if access is None:
        said = "The token is wrong." if given else "Send the token as `Authorization: Bearer TOKEN`."
        raise Problem(Kind.UNAUTHORIZED, said, headers={"WWW-Authenticate": 'Bearer realm="jobyard"'})
    return access


def check_access(scope: Scope, needed: Access) -> None:
    """Whether who sent this request, which has come through the guard, may do what needs that scope.

    Raises:
        Problem: no.
    """
    access: Access = scope[ACCESS]
    if not access.covers(needed):
        said = f"This needs a token of scope {needed.value!r}; this one has {access.value!r}."
        challenge = f'Bearer realm="jobyard", error="insufficient_scope", scope="{needed.value}"'
        raise Problem(Kind.INSUFFICIENT_SCOPE, said, headers={"WWW-Authenticate": challenge}, scope=needed.value)


def _check_origin(headers: Headers) -> None:
    """Browsers say where a request comes from; other clients don't, and need not."""
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin")
    foreign = site not in ("same-origin", "none")
    if foreign or (origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()):
        raise Problem(Kind.CROSS_ORIGIN, "The request comes from a page of another site.")


def _check_content_type(headers: Headers) -> None:
    """The types that a form can send are sent without asking the server first."""
    given = headers.get("content-type")
    if given is not None and given.partition(";")[0].strip().lower() != "application/json":
        raise Problem(Kind.NOT_JSON, f"Send `Content-Type: application/json`, not {given[:100]!r}.")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
