"""The sink's webhook receiver: takes what is signed with its secret, and lists what came."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError

from shared.service import Problem, router
from shared.service.clock import rfc3339
from shared.service.http import PUBLIC

HOOKS_MAX = 100_000


@dataclass(slots=True)
class Hook:
    """One webhook; ``received`` counts how often it came."""

    id: str
    at: datetime
    event_id: str
    event_type: str
    sequence: str
    received: int = 1


class Hooks:
    """Webhooks by their id, verified with one secret (`whsec_…`); without it none is taken."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret) if secret else None
        self._hooks: dict[str, Hook] = {}
        self.refused = 0

    def take(self, headers: dict[str, str], body: bytes) -> Hook:
        """Keep or count a webhook. Raises `Problem` 401 for a wrong signature."""
        if self._webhook is None:
            raise Problem(503, "hooks-off", "No secret", detail="Set OMS_HOOK_SECRET, start again.")
        try:
            self._webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            self.refused += 1
            raise Problem(
                401,
                "signature-wrong",
                "Signature not valid",
                detail="The Standard Webhooks headers do not fit the body and OMS_HOOK_SECRET.",
            ) from error
        id = headers["webhook-id"]
        known = self._hooks.get(id)
        if known is not None:
            known.received += 1
            return known
        if len(self._hooks) >= HOOKS_MAX:
            raise Problem(507, "hooks-full", "Full", detail=f"{HOOKS_MAX} webhooks are kept.")
        hook = Hook(
            id,
            datetime.now(UTC),
            headers.get("ce-id", ""),
            headers.get("ce-type", ""),
            headers.get("oms-webhook-sequence", ""),
        )
        self._hooks[id] = hook
        return hook

    def listed(self) -> list[dict[str, Any]]:
        """What came, in order of first arrival."""
        return [
            {
                "id": h.id,
                "event_id": h.event_id,
                "event_type": h.event_type,
                "sequence": h.sequence,
                "received": h.received,
                "at": rfc3339(h.at),
            }
            for h in self._hooks.values()
        ]


def routes(hooks: Hooks, guard: Any) -> APIRouter:
    """``POST /hooks`` (its signature is the key) and ``GET /hooks``."""
    r = router(tags=["hooks"])

    @r.post("/hooks", status_code=204, dependencies=[PUBLIC])
    async def take(request: Request) -> Response:
        """Receive one webhook."""
        hooks.take(dict(request.headers), await request.body())
        return Response(status_code=204)

    @r.get("/hooks", dependencies=[guard])
    async def listed() -> dict[str, Any]:
        """What came, and how often."""
        return {"items": hooks.listed(), "refused": hooks.refused}

    return r
