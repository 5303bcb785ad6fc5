"""TLS and login: nothing goes over an insecure connection, and the password is shown nowhere."""

from __future__ import annotations

import logging
import pickle
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import AuthResult

import jobyard
from jobyard.jobs.email import MailConfigError, MailDeferredError, MailSecurityError, MailServerError, send_email
from jobyard.jobs.email.settings import SmtpSettings, get_settings

if TYPE_CHECKING:
    from tests.jobs.email.conftest import Certificates, Server, StartServer

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}
PASSWORD = "correct-hörse-7"
LOGIN = {"USERNAME": "shop", "PASSWORD": PASSWORD}


class Authenticator:
    """Lets one user in, and keeps which mechanisms were used."""

    def __init__(self, password: str = PASSWORD, refusal: str = "535 5.7.8 Bad credentials") -> None:
        self.password = password
        self.refusal = refusal
        self.mechanisms: list[str] = []

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.mechanisms.append(mechanism)
        if (data.login.decode(), data.password.decode()) == ("shop", self.password):
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=self.refusal)


def test_starttls_makes_the_connection_secure_before_anything_is_said(
    start_server: StartServer, certificates: Certificates
) -> None:
    server = start_server(
        security="starttls",
        settings={"CA_FILE": str(certificates.ca)},
        tls_context=certificates.context,
        require_starttls=True,
    )
    send_email(**MAIL)
    assert len(server.received) == 1


def test_tls_from_the_start(start_server: StartServer, certificates: Certificates) -> None:
    server = start_server(security="tls", settings={"CA_FILE": str(certificates.ca)}, tls=certificates.context)
    send_email(**MAIL)
    assert len(server.received) == 1


def test_a_server_without_starttls_gets_nothing(start_server: StartServer) -> None:
    server = start_server(security="starttls", settings=LOGIN)
    with pytest.raises(MailSecurityError, match="does not offer STARTTLS") as error:
        send_email(**MAIL)
    assert isinstance(error.value, jobyard.PermanentError)
    assert server.commands == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    start_server: StartServer, certificates: Certificates, security: str
) -> None:
    way = {"tls": certificates.context} if security == "tls" else {"tls_context": certificates.context}
    server = start_server(security=security, settings=LOGIN, **way)
    with pytest.raises(MailSecurityError, match="JOBYARD_SMTP_CA_FILE"):
        send_email(**MAIL)
    assert server.received == []


def test_a_certificate_of_another_host_is_not_accepted(
    start_server: StartServer, certificates_of_another_host: Certificates
) -> None:
    server = start_server(
        security="tls",
        settings={"CA_FILE": str(certificates_of_another_host.ca)},
        tls=certificates_of_another_host.context,
    )
    with pytest.raises(MailSecurityError, match="IP address mismatch"):
        send_email(**MAIL)
    assert server.received == []


def test_tls_with_a_server_that_speaks_plainly_says_which_setting_may_be_wrong(start_server: StartServer) -> None:
    start_server(security="tls")
    with pytest.raises(MailServerError, match="JOBYARD_SMTP_SECURITY"):
        send_email(**MAIL)


def test_a_ca_file_that_cannot_be_read_is_a_matter_of_the_settings(start_server: StartServer, tmp_path: Path) -> None:
    start_server(security="starttls", settings={"CA_FILE": str(tmp_path / "missing.pem")})
    with pytest.raises(MailConfigError, match=r"JOBYARD_SMTP_CA_FILE .*missing\.pem"):
        send_email(**MAIL)


def with_login(
    start_server: StartServer, certificates: Certificates, authenticator: Authenticator, **options: Any
) -> Server:
    settings = {"CA_FILE": str(certificates.ca), **LOGIN, **options.pop("settings", {})}
    return start_server(
        security="starttls",
        settings=settings,
        tls_context=certificates.context,
        require_starttls=True,
        authenticator=authenticator,
        auth_required=True,
        **options,
    )


def test_login_is_by_plain_and_the_password_may_have_any_letters(
    start_server: StartServer, certificates: Certificates
) -> None:
    authenticator = Authenticator()
    server = with_login(start_server, certificates, authenticator)
    send_email(**MAIL)
    assert len(server.received) == 1
    assert authenticator.mechanisms == ["PLAIN"]


def test_a_server_that_knows_only_login_is_served(start_server: StartServer, certificates: Certificates) -> None:
    authenticator = Authenticator("plain-ascii")
    server = with_login(
        start_server,
        certificates,
        authenticator,
        settings={"PASSWORD": "plain-ascii"},
        auth_exclude_mechanism=["PLAIN"],
    )
    send_email(**MAIL)
    assert len(server.received) == 1
    assert authenticator.mechanisms == ["LOGIN"]


def test_a_password_that_only_login_could_carry_must_be_ascii(
    start_server: StartServer, certificates: Certificates
) -> None:
    with_login(start_server, certificates, Authenticator(), auth_exclude_mechanism=["PLAIN"])
    with pytest.raises(MailSecurityError, match="AUTH PLAIN") as error:
        send_email(**MAIL)
    assert_silent_about_the_password(error.value)


def test_the_password_file_is_read_at_each_login(
    start_server: StartServer, certificates: Certificates, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old\n")
    authenticator = Authenticator("old")
    server = with_login(
        start_server, certificates, authenticator, settings={"PASSWORD": "", "PASSWORD_FILE": str(secret)}
    )
    send_email(**MAIL)

    secret.write_text("new\n")
    authenticator.password = "new"
    server.drop("MAIL", times=1)  # The connection is lost, and opened again.
    send_email(**MAIL)
    assert len(authenticator.mechanisms) == 2


def test_a_missing_password_file_is_a_matter_of_the_settings(
    start_server: StartServer, certificates: Certificates, tmp_path: Path
) -> None:
    with_login(
        start_server,
        certificates,
        Authenticator(),
        settings={"PASSWORD": "", "PASSWORD_FILE": str(tmp_path / "missing")},
    )
    with pytest.raises(MailConfigError, match=r"JOBYARD_SMTP_PASSWORD_FILE.*No such file"):
        send_email(**MAIL)


@pytest.mark.parametrize("excluded", [[], ["PLAIN"]])
def test_a_refused_login_buries_the_job_without_showing_the_password(
    start_server: StartServer, certificates: Certificates, excluded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password = "correct-horse-7"
    with_login(
        start_server,
        certificates,
        Authenticator("another"),
        settings={"PASSWORD": password},
        auth_exclude_mechanism=excluded,
    )
    with pytest.raises(MailSecurityError, match="refused the login of 'shop': 535") as error:
        send_email(**MAIL)
    assert isinstance(error.value, jobyard.PermanentError)
    assert_silent_about_the_password(error.value, password)
    assert password not in caplog.text


def test_a_login_that_is_put_off_is_retried(start_server: StartServer, certificates: Certificates) -> None:
    refusal = "454 4.7.0 Temporary authentication failure"
    with_login(start_server, certificates, Authenticator("another", refusal))
    with pytest.raises(MailDeferredError, match=r"454 4\.7\.0"):
        send_email(**MAIL)


def test_a_server_without_a_login_says_what_to_unset(start_server: StartServer) -> None:
    start_server(settings=LOGIN)
    with pytest.raises(MailSecurityError, match="unset JOBYARD_SMTP_USERNAME") as error:
        send_email(**MAIL)
    assert_silent_about_the_password(error.value)


def test_a_failed_handshake_leaves_the_pool_usable(start_server: StartServer, certificates: Certificates) -> None:
    """The slot of a connection that could not be opened is free again: otherwise the pool would run dry."""
    start_server(security="starttls", settings={"POOL_SIZE": "1", "TIMEOUT": "1"}, tls_context=certificates.context)
    for _ in range(3):
        with pytest.raises(MailSecurityError):
            send_email(**MAIL)


def assert_silent_about_the_password(error: BaseException, password: str = PASSWORD) -> None:
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(pickle.dumps(error))
    chain: BaseException | None = error
    while chain is not None:
        shown += repr(chain) + repr(chain.args)
        chain = chain.__cause__ or chain.__context__
    assert password not in shown
    assert password.encode().decode("latin-1") not in shown


def test_the_settings_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_SMTP_USERNAME", "shop")
    monkeypatch.setenv("JOBYARD_SMTP_PASSWORD", PASSWORD)
    settings = SmtpSettings()
    assert PASSWORD not in repr(settings) + str(settings) + str(settings.model_dump())
    assert settings.read_password() == PASSWORD


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PORT": "smtp", **LOGIN}, "JOBYARD_SMTP_PORT: Input should be a valid integer"),
        ({"SECURITY": "ssl", **LOGIN}, "JOBYARD_SMTP_SECURITY: Input should be 'none', 'starttls' or 'tls'"),
        ({"FROM_ADDRESS": "shop", **LOGIN}, "JOBYARD_SMTP_FROM_ADDRESS: .*no '@'"),
        ({"HOST": "mail\nexample", **LOGIN}, "JOBYARD_SMTP_HOST: .*control characters"),
        ({"PASSWORD": PASSWORD}, "JOBYARD_SMTP_USERNAME"),
        ({"USERNAME": "shop"}, "JOBYARD_SMTP_PASSWORD"),
        ({**LOGIN, "PASSWORD_FILE": "/run/secrets/smtp"}, "not both"),
        ({**LOGIN, "SECURITY": "none", "HOST": "mail.example.org"}, "ALLOW_PLAINTEXT_LOGIN"),
    ],
)
def test_settings_that_cannot_be_used_are_named_without_showing_the_password(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"JOBYARD_SMTP_{name}", value)
    with pytest.raises(MailConfigError, match=says) as error:
        get_settings()
    assert_silent_about_the_password(error.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"SECURITY": "none", "HOST": "127.0.0.1"},
        {"SECURITY": "none", "HOST": "localhost"},
        {"SECURITY": "none", "HOST": "mail.internal", "ALLOW_PLAINTEXT_LOGIN": "true"},
        {"SECURITY": "starttls", "HOST": "mail.example.org"},
    ],
)
def test_a_password_may_go_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in {**LOGIN, **variables}.items():
        monkeypatch.setenv(f"JOBYARD_SMTP_{name}", value)
    assert get_settings().username == "shop"


@pytest.mark.parametrize(("security", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_port_follows_from_the_security(monkeypatch: pytest.MonkeyPatch, security: str, port: int) -> None:
    monkeypatch.setenv("JOBYARD_SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("JOBYARD_SMTP_SECURITY", security)
    assert get_settings().address == ("mail.example.org", port)
