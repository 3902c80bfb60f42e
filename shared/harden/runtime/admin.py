"""The admin port: liveness, readiness, metrics. For operators inside the network, never for tenants."""

import asyncio
import socket
import threading
from collections.abc import Callable

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from harden.config import AdminSettings
from harden.domain.errors import SetupError

_STOP_TIMEOUT_S = 2.0


class AdminPort:
    """Listens from construction on. `not_ready` names what is still missing; None when ready."""

    def __init__(self, settings: AdminSettings, registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> None:
        self._registry = registry
        self._not_ready = not_ready
        self._socket = _listen(settings)
        self.port: int = self._socket.getsockname()[1]
        routes = [Route("/healthz", self._healthz), Route("/readyz", self._readyz), Route("/metrics", self._metrics)]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="admin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        missing = self._not_ready()
        return PlainTextResponse("ready\n") if missing is None else PlainTextResponse(f"{missing}\n", status_code=503)

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _listen(settings: AdminSettings) -> socket.socket:
    """Bound here and not by the server, so that a port in use is a message and not a log line of a thread."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SetupError(
            f"the admin port cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "set HARDEN_ADMIN__PORT to a free port, or to 0 for any"
        ) from error
    return listener
