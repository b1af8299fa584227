"""Which message goes to which decider."""

from services.returns.domain import receiving, requests, returnable, settling, state
from services.returns.domain.messages import INTERNAL, AskReturn
from services.returns.domain.requests import Policy
from shared.events.order import OrderShipped, RefundFailed, RefundIssued, ReturnAccepted
from shared.events.returns import (
    ApproveReturn,
    CancelReturn,
    DeclineReturn,
    InspectReturn,
    ReceiveReturn,
    RequestReturn,
    ReturnCommand,
)
from shared.ledger.table import Category, Handler, Table, one


def _both(command: ReturnCommand) -> tuple[str, str]:
    return command.subject, f"returnable-{command.order_id}"


_DEFAULT = Policy()


def table(policy: Policy = _DEFAULT) -> Table:
    """The returns service; ``policy`` says which returns need no person."""
    return Table(
        "returns",
        [
            Category("return", state.initial, state.evolve),
            Category(
                "returnable",
                returnable.initial,
                returnable.evolve,
                schema=2,
                guard=returnable.least_left,
            ),
        ],
        {
            OrderShipped: one(returnable.learn, lambda event: f"returnable-{event.order_id}"),
            AskReturn: Handler(_both, policy.request),
            RequestReturn: Handler(_both, policy.request_or_await),
            ApproveReturn: Handler(_both, requests.approve),
            DeclineReturn: Handler(_both, requests.decline),
            CancelReturn: Handler(_both, requests.cancel),
            ReceiveReturn: one(receiving.receive),
            InspectReturn: Handler(_both, receiving.inspect),
            ReturnAccepted: Handler(settling.streams, settling.accepted),
            RefundIssued: Handler(settling.streams, settling.issued),
            RefundFailed: Handler(settling.streams, settling.failed),
        },
        INTERNAL,
    )
