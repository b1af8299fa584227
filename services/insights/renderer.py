"""Vega-Lite to SVG, in a process of its own: ``python -m services.insights.renderer`` reads a chart a line.

The library brings a JavaScript engine with it, some 90 MB. The process is started by the first who looks at a chart,
so that counting has neither its memory nor its pauses; it ends with the one that started it, whose end of the pipe
closes."""

import asyncio
import sys
from typing import Any

import msgspec

#: A renderer grows with use; after this many charts a new one takes its place.
CHARTS_MAX = 500
RENDER_SECONDS_MAX = 30
LINE_BYTES_MAX = 16 << 20


class RenderFailed(Exception):
    """No chart came; the message says why."""


class Renderer:
    """Renders one chart at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._charts = 0
        self._one = asyncio.Lock()

    async def svg(self, chart: dict[str, Any]) -> str:
        """The chart as an SVG document. Raises `RenderFailed`."""
        async with self._one:
            try:
                async with asyncio.timeout(RENDER_SECONDS_MAX):
                    return await self._render(chart)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                await self._end()
                raise RenderFailed(f"the chart was not rendered: {error!r}") from error

    async def _render(self, chart: dict[str, Any]) -> str:
        if self._charts >= CHARTS_MAX:
            await self._end()
        if self._process is None:
            self._charts = 0
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.insights.renderer", limit=LINE_BYTES_MAX,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
        self._charts += 1
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(chart) + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readuntil(b"\n")
        return msgspec.json.decode(line, type=str)

    async def close(self) -> None:
        """End the process."""
        async with self._one:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def main() -> None:
    """A chart a line in, an SVG document as a JSON string a line out."""
    import vl_convert

    for line in sys.stdin.buffer:
        svg = vl_convert.vegalite_to_svg(msgspec.json.decode(line))
        sys.stdout.buffer.write(msgspec.json.encode(svg) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
