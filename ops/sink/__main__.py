"""``python -m ops.sink``: a mail server that keeps what it gets, with a view over HTTP.

It takes mail from anyone who reaches its port, so it listens on loopback by default. With
OMS_KEYS_FILE the view needs a key; without it the view is open, and only on loopback.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends
from pydantic import Field
from standardwebhooks.webhooks import EmptyWebhookSecretError

from ops.sink import hooks, view
from ops.sink.smtp import listen
from ops.sink.store import FileDamagedError, MessageStore
from shared.service import Handle, Keyring, Role, Service, Settings, Task, create_app, require, run
from shared.service.http import PUBLIC
from shared.service.server import bind_socket
from shared.service.settings import InvalidSettingsError, Port

LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Cookies do not know ports: this one must not be that of the pages on the same host.
COOKIE = "oms_sink_key"


class SinkSettings(Settings):
    """The sink's settings."""

    service: str = "sink"
    port: Port = 8126
    smtp_port: int = Field(8125, ge=0, le=65535, description="SMTP port, 0 for any free one")
    sink_file: Path | None = Field(None, description="JSON lines; a temporary file without it")
    hook_secret: str = Field("", repr=False, description="whsec_…, to verify POST /hooks with")


@asynccontextmanager
async def sink(settings: SinkSettings) -> AsyncIterator[Service]:
    """The sink, listening for mail from the start."""
    keyring, guard = _guard(settings)
    try:
        received = hooks.Hooks(settings.hook_secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise InvalidSettingsError("OMS_HOOK_SECRET is not whsec_ and base64.") from error
    try:
        store = MessageStore(settings.sink_file)
    except (OSError, FileDamagedError) as error:
        raise InvalidSettingsError(f"OMS_SINK_FILE: {error}") from error
    try:
        sock = bind_socket(settings.host, settings.smtp_port)
    except OSError as error:
        store.close()
        raise InvalidSettingsError(
            f"OMS_SMTP_PORT={settings.smtp_port} on {settings.host}: {error.strerror}. Stop what "
            "uses the port or set another."
        ) from error
    app = create_app("sink", keyring=keyring, cookie=COOKIE, access_log=settings.access_log)
    app.include_router(view.routes(store, guard))
    app.include_router(hooks.routes(received, guard))
    server = await listen(store, sock)

    async def serve(handle: Handle) -> None:
        handle.ready()
        await handle.stopping.wait()
        server.close()

    try:
        yield Service(app, [Task("smtp", serve)])
    finally:
        server.close()
        store.close()


def _guard(settings: SinkSettings) -> tuple[Keyring, Any]:
    """Who may look: holders of a key, or anyone on this machine when there are no keys."""
    if settings.keys_file is not None:
        roles = (Role.OPS, Role.AGENT, Role.AUDITOR, Role.SERVICE)
        return Keyring.from_file(settings.keys_file), Depends(require(*roles))
    if settings.host not in LOOPBACK:
        raise InvalidSettingsError(
            f"OMS_HOST={settings.host} shows everyone's mail to everyone: set OMS_KEYS_FILE, or "
            "listen on 127.0.0.1."
        )
    return Keyring(), PUBLIC


if __name__ == "__main__":
    run(SinkSettings, sink)
