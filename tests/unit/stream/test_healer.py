"""What answers in the place of a producer's feed."""

import httpx
import pytest

from shared.stream.healer import CannotHeal, HttpHealer

TOPIC = "oms.order.events"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Please sign in</html>"),
        httpx.Response(200, content=b"\xff"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"items": [{"key": "1"}]}),
        httpx.Response(503, json={"items": []}),
        httpx.ConnectError("nobody is there"),
    ],
    ids=range(6),
)
async def test_an_answer_that_is_no_feed_is_tried_again_and_ends_nobody(
    answer: httpx.Response | Exception,
) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    healer = HttpHealer(
        {"order": "http://order.test"}, "key", transport=httpx.MockTransport(respond)
    )
    try:
        with pytest.raises(CannotHeal):
            await healer.fetch((TOPIC, 0), 0, 10)
        with pytest.raises(CannotHeal):
            await healer.heads({TOPIC})
    finally:
        await healer.close()
