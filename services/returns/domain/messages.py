"""What this service's API says to itself. It never travels."""

from shared.events.returns import RequestReturn


class AskReturn(RequestReturn, frozen=True, kw_only=True, tag="oms.returns.ask.v1"):
    """A `RequestReturn` of somebody who waits for the answer: it may be refused, and asked for again."""

    @classmethod
    def route(cls) -> None:
        """No topic."""
        return


INTERNAL = (AskReturn,)
