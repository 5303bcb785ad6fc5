"""`jobyard serve`: the REST API and the dashboard; tokens for them, and the OpenAPI document."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from jobyard.cli.app import app
from jobyard.errors import JobyardError

serve = typer.Typer(help="Serve the REST API and the dashboard.", invoke_without_command=True)
app.add_typer(serve, name="serve")
token = typer.Typer(help="Tokens that open the REST API.", no_args_is_help=True)
serve.add_typer(token, name="token")


class ScopeName(StrEnum):
    """What a token is good for; each includes those before it."""

    read = "read"
    operate = "operate"
    admin = "admin"


@serve.callback()
def run(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen [JOBYARD_WEB_HOST]. Default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port [JOBYARD_WEB_PORT]; 0: one that is free. Default: 8080."),
    ] = None,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import these actors, so that what is enqueued for them over REST is checked here, with the path to each wrong "
            "field. Can be given several times.",
        ),
    ] = None,
) -> None:
    """Serve the REST API and the dashboard.

    Which Redis it is comes from JOBYARD_REDIS_URL. Without a token it listens on a loopback address only; set
    JOBYARD_TOKEN to let others in, who then send it as `Authorization: Bearer TOKEN`. That one may do everything; see `jobyard
    serve token create` for others.
    """
    if context.invoked_subcommand is not None:
        return
    with _dashboard_installed():
        from jobyard.web.server import WebServer
        from jobyard.web.settings import read_settings
    from jobyard.settings import BrokerSettings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = BrokerSettings()
        # A request should fail before whoever waits for it gives up.
        broker = settings.model_copy(update={"patience": min(1.0, settings.patience)}).make_broker()
        if modules:
            from jobyard.worker.loading import load

            broker.actors.update(load(modules, ["."]).actors)
        server = WebServer(broker, read_settings(web_host=host, web_port=port))
    except (JobyardError, ValueError) as error:
        typer.echo(f"jobyard serve: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"Dashboard and REST API on {server.url}, for {broker.server.address}")
    server.run()


@token.command()
def create(
    scope: Annotated[
        ScopeName,
        typer.Option(
            "--scope",
            help="read: look at everything. operate: also enqueue, cancel, retry, pause. admin: also discard, change many "
            "jobs at once, and set policies.",
        ),
    ],
    note: Annotated[str, typer.Option("--note", help="Whose it is: a comment in the line, for people.")] = "",
) -> None:
    """Make a token. It is shown once, on standard output; the line to keep goes to standard error.

    \b
      jobyard serve token create --scope read

    The line is for the file that JOBYARD_WEB_TOKENS_FILE names, or for JOBYARD_WEB_TOKENS. It has only a hash of the token, so
    who reads it can't come in. The server reads it when it starts.
    """
    with _dashboard_installed():
        from jobyard.web.tokens import Scope, new_token

    if not note.isprintable():
        typer.echo("jobyard serve token: --note is one line", err=True)
        raise typer.Exit(2)
    secret, kept = new_token(Scope(scope.value))
    typer.echo(kept.line + (f"  # {note}" if note else ""), err=True)
    typer.echo(secret)


@serve.command()
def openapi() -> None:
    """Print the OpenAPI 3.1 document of the REST API, without serving anything.

    \b
      jobyard serve openapi > openapi.json
    """
    with _dashboard_installed():
        from jobyard.web.app import document

    typer.echo(json.dumps(document(), indent=2, ensure_ascii=False))


@contextmanager
def _dashboard_installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "jobyard":
            raise  # A fault of ours.
        typer.echo(
            f"`jobyard serve` needs {error.name}, which is not installed: pip install 'jobyard[dashboard]'", err=True
        )
        raise typer.Exit(2) from None
