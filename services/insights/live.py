"""Server-sent events: statements as JSON for programs, the dashboard's figures as HTML for its page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from services.insights.api import Reader
from services.insights.insights import Insights
from services.insights.listener import Listener
from shared.service import router

#: How often the figures are looked at, and after how long without news a comment keeps the connection open.
LOOK_SECONDS = 2.0
QUIET_LOOKS = 7


def event_stream(parts: AsyncIterator[str]) -> StreamingResponse:
    """Parts of an event stream as an answer that nobody keeps or buffers."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


def routes(listener: Listener, draining: Callable[[], bool]) -> APIRouter:
    """``GET /events``."""
    r = router(tags=["insights"])

    @r.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Until it is closed"}
        },
    )
    async def events(who: Reader) -> StreamingResponse:
        """Statements as they are published on `oms.insights.events`: `event` is the type, `id` names the statement,
        `data` is its JSON. From now on; what was before is on the topic."""

        async def parts() -> AsyncIterator[str]:
            yield ": listening\n\n"
            async for s in listener.statements():
                if draining():
                    return
                if s is None:
                    yield ": still here\n\n"
                else:
                    yield f"id: {s.id}\nevent: {s.type}\ndata: {s.payload.decode()}\n\n"

        return event_stream(parts())

    return r


async def changing(
    insights: Insights, draining: Callable[[], bool], render: Callable[[], Awaitable[str]]
) -> AsyncIterator[str]:
    """The rendered figures as unnamed events, whenever they have changed."""
    seen, quiet = -1, 0
    while not draining():
        worker = insights.worker
        if worker is not None and worker.state.changes != seen:
            seen, quiet = worker.state.changes, 0
            lines = (await render()).splitlines()
            yield "".join(f"data: {line}\n" for line in lines) + "\n"
        else:
            quiet += 1
            if quiet % QUIET_LOOKS == 0:
                yield ": still here\n\n"
        await asyncio.sleep(LOOK_SECONDS)
