"""The REST API and the dashboard: an ASGI application, and the server that `jobyard serve` and `jobyard up` run it in.

The way through the package: `app` puts everything together; `guard` decides who may come in; `api` answers, with what
`backroom` asks the broker in threads; `feed` tells open dashboards what changes; `problems` are the answers that say no.
"""

from jobyard.web.app import create_app
from jobyard.web.settings import WebConfigError, WebSettings

__all__ = ["WebConfigError", "WebSettings", "create_app"]
