"""``oms refused list | show | resubmit``: inputs that could not be taken, and having them read again."""

import asyncio
from pathlib import Path

from ops.cli.client import find, get, post
from ops.cli.codes import CliError, Exit
from ops.cli.output import Output

PAGE = 500


async def list_refused(data: Path, source: str, everything: bool, out: Output) -> Exit:
    """Every refused input that was not resubmitted. NOTHING when there is none."""
    found = []
    async with find(data).http("integrations", "ops") as http:
        after = 0
        while True:
            query = {"after": after, "limit": PAGE, "source": source, "everything": everything}
            page = await get(http, "/refused", **query)
            found += page["items"]
            after = page["after"]
            if len(page["items"]) < PAGE:
                break
    out.answer({"items": found})
    if not found:
        out.say("No input waits for a person.")
        return Exit.NOTHING
    for x in found:
        done = " (resubmitted)" if x["resubmitted"] else ""
        out.say(f"{x['refusal_id']}  {x['source']}  {x['channel']}  {x['reference']}", style="bold")
        out.say(f"    since {x['refused_at'][:19]}: {x['reason']}: {x['detail']}{done}")
    out.say(
        "\nOnce it can be taken: oms refused resubmit ID, with --payload FILE for a correction."
    )
    return Exit.PROBLEM if any(not x["resubmitted"] for x in found) else Exit.OK


async def show(data: Path, refusal_id: str, out: Output) -> Exit:
    """One refused input, with its payload."""
    async with find(data).http("integrations", "ops") as http:
        found = await get(http, f"/refused/{refusal_id}")
    out.answer(found)
    for name in ("refusal_id", "source", "channel", "reference", "refused_at", "reason", "detail"):
        out.say(f"{name.replace('_', ' '):<12}{found[name]}")
    if found["resubmitted"]:
        out.say("It was resubmitted and taken.")
    out.say(f"\n{found['payload']}")
    return Exit.OK


async def resubmit(data: Path, refusal_id: str, payload: Path | None, out: Output) -> Exit:
    """Have it read again, as it came or corrected. PROBLEM when it is refused again."""
    body = {} if payload is None else {"payload": await asyncio.to_thread(_text, payload)}
    async with find(data).http("integrations", "ops") as http:
        answer = await post(http, f"/refused/{refusal_id}/resubmit", body)
    out.answer(answer)
    out.say(f"{answer['accepted']} taken, {answer['known']} known from before.")
    for reason in answer["refused"]:
        out.say(f"refused again: {reason}")
    return Exit.PROBLEM if answer["refused"] else Exit.OK


def _text(payload: Path) -> str:
    try:
        return payload.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(Exit.USAGE, f"{payload} cannot be read as UTF-8 text: {error}") from error
