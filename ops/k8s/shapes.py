"""What every service needs of a cluster. A new service is one entry in `SHAPES`; everything else follows from the code."""

from collections.abc import Mapping
from typing import NamedTuple

from ops.k8s.names import REPLICAS
from ops.reconcile.tables import table_of
from ops.system import SERVICES
from ops.system.layout import WITHOUT_DATABASE
from services.insights import announcer as insights
from services.insights import figures
from services.integrations import handlers as integrations
from services.views import handlers as views
from shared.events import topics
from shared.events.catalogue import sequenced_by


class Shape(NamedTuple):
    """``cpu`` and ``memory`` are requested, ``memory_max`` is the limit.

    ``secrets``: the settings (without OMS_) that come from the service's secret, by its key. ``internet``: TCP ports that
    it calls outside of the cluster. ``reads``: the topics consumed, where no table of `ops.reconcile` says it;
    ``reads_if_set``: further ones, for which a setting of an installation asks. ``writes``: topics written beside those
    that it sequences. ``group_per_version``: every version of its read models is a consumer group. ``sees_lag``: it lets
    orders in by how far the others are behind, and so must see that. ``settings``: what its ConfigMap starts with (without
    OMS_), for overlays to change.

    The figures: resident memory and processor time of the services of `oms up` on two cores while `oms demo` placed
    1,200 orders at 40 a second. All idle at 85 MiB and 20 m. The order service reached 103 MiB and 146 m (290 m in its
    busiest two seconds), views 94 MiB and 86 m, notifications 90 MiB and 70 m, fulfillment 85 MiB and 67 m, returns 86
    MiB and 40 m, inventory 86 MiB and 36 m, integrations 87 MiB and 80 m, insights 93 MiB and 69 m. Who looks at the
    insights' charts starts their renderer, which came to 165 MiB after 500 of them. Requests are that, rounded up; memory
    may grow to more than twice of it.
    There is no limit on processor time: a throttled process misses its heartbeats and loses its partitions.
    """

    cpu: str = "100m"
    memory: str = "96Mi"
    memory_max: str = "256Mi"
    secrets: Mapping[str, str] = {}
    internet: tuple[int, ...] = ()
    reads: tuple[str, ...] = ()
    reads_if_set: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    group_per_version: bool = False
    sees_lag: bool = False
    settings: Mapping[str, str] = {}


_WITH_WAREHOUSES = tuple(
    set(integrations.table(wms_locations=frozenset({"any"})).topics)
    - set(integrations.table().topics)
)


SHAPES = {
    "order": Shape(
        cpu="200m",
        memory="128Mi",
        memory_max="320Mi",
        secrets={"PAYMENTS_KEY": "payments-key"},
        internet=(443,),  # the payment provider
        sees_lag=True,
    ),
    "inventory": Shape(),
    "fulfillment": Shape(),
    "returns": Shape(),
    "notifications": Shape(
        secrets={
            "SMTP_USERNAME": "smtp-username",
            "SMTP_PASSWORD": "smtp-password",
            "WEBHOOK_KEY": "webhook-key",
            "TRACKING_KEYS": "tracking-keys",
        },
        internet=(443, 587),  # webhooks, and the mail server with STARTTLS
    ),
    "views": Shape(
        memory="128Mi",
        secrets={"TRACKING_KEYS": "tracking-keys"},
        reads=views.TABLE.topics,
        group_per_version=True,
    ),
    "integrations": Shape(
        secrets={"SHOPIFY_SECRETS": "shopify-secrets"},
        reads_if_set=_WITH_WAREHOUSES,
        sees_lag=True,
    ),
    "insights": Shape(
        memory="192Mi",
        memory_max="512Mi",
        # Its own topic as well: every process tells its listeners what any of them has announced.
        reads=(*figures.TOPICS, insights.TOPIC),
        writes=(insights.TOPIC,),
        group_per_version=True,
        settings={"CHANGELOG_REPLICAS": str(REPLICAS)},
    ),
}


class Needs(NamedTuple):
    """A service's shape, and what follows from it. ``consumes`` and ``produces``: the topics that it may read and write."""

    name: str
    shape: Shape
    consumes: tuple[str, ...]
    produces: tuple[str, ...]

    @property
    def has_database(self) -> bool:
        """One without keeps what it knows on topics that it makes itself, whose names begin like its `group`."""
        return self.name not in WITHOUT_DATABASE

    @property
    def peers(self) -> tuple[str, ...]:
        """Whose feeds it heals gaps from: the producers of what it consumes."""
        return tuple(sorted({s for t in self.consumes if (s := sequenced_by(t)) is not None}))

    @property
    def group(self) -> str:
        """Its consumer group; a prefix where every version of a read model is a group of its own."""
        return f"oms-{self.name}-v" if self.shape.group_per_version else f"oms-{self.name}"

    @property
    def database(self) -> str:
        """Its database cluster."""
        return f"{self.name}-db"

    @property
    def secret(self) -> str:
        """The secret that an operator makes for it."""
        return f"{self.name}-secrets"


def all_needs() -> tuple[Needs, ...]:
    """The needs of every service of `ops.system`. Raises LookupError for one without a shape."""
    if SHAPES.keys() != SERVICES.keys():
        names = ", ".join(sorted(SHAPES.keys() ^ SERVICES.keys()))
        raise LookupError(
            f"{names}: ops/system/layout.py and ops/k8s/shapes.py must name the same services; "
            "add what is missing to SHAPES"
        )
    written = topics()
    return tuple(
        Needs(
            name,
            shape,
            consumes=tuple(sorted({*(shape.reads or table_of(name).topics), *shape.reads_if_set})),
            produces=tuple(
                t.name for t in written if sequenced_by(t.name) == name or t.name in shape.writes
            ),
        )
        for name, shape in SHAPES.items()
    )
