"""`jobyard serve`: the REST API and the dashboard."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from jobyard.cli.app import app
from jobyard.errors import JobyardError


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen [JOBYARD_WEB_HOST]. Default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port [JOBYARD_WEB_PORT]; 0: one that is free. Default: 8080."),
    ] = None,
) -> None:
    """Serve the REST API and the dashboard.

    Which Redis it is comes from JOBYARD_REDIS_URL. Without a token it listens on a loopback address only; set
    JOBYARD_TOKEN to let others in, who then send it as `Authorization: Bearer TOKEN`.
    """
    try:
        from jobyard.web.server import WebServer
        from jobyard.web.settings import read_settings
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "jobyard":
            raise  # A fault of ours.
        typer.echo(
            f"`jobyard serve` needs {error.name}, which is not installed: pip install 'jobyard[dashboard]'", err=True
        )
        raise typer.Exit(2) from None
    from jobyard.settings import BrokerSettings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = BrokerSettings()
        # A request should fail before whoever waits for it gives up.
        broker = settings.model_copy(update={"patience": min(1.0, settings.patience)}).make_broker()
        server = WebServer(broker, read_settings(web_host=host, web_port=port))
    except (JobyardError, ValueError) as error:
        typer.echo(f"jobyard serve: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"Dashboard and REST API on {server.url}, for {broker.server.address}")
    server.run()
