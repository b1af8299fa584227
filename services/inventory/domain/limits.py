"""A limit on everything: state stays bounded and one message cannot occupy the service."""

#: Lines of one reservation or movement. Real invoices have more than 1,000.
LINES_MAX = 2_000

#: Units of one line.
QUANTITY_MAX = 1_000_000

#: Units of one SKU at one location.
ON_HAND_MAX = 1_000_000_000

#: Locations that hold one SKU.
LOCATIONS_MAX = 100

#: Reservations that wait for one SKU.
WAITING_MAX = 10_000

#: How long a promise may stand without being committed: 30 days, in seconds.
HOLD_SECONDS_MAX = 30 * 24 * 3600

#: Packages and named releases that one reservation remembers while it is open.
PARTS_MAX = 10_000

#: Characters of a SKU, a location or a line id.
NAME_MAX = 100
