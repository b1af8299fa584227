"""What an order may hold. More is refused on every road, so that a channel's adapter says it before the order is sent on."""

LINES_MAX = 2_000
#: Charges, and the payments by which it was paid.
CHARGES_MAX = 100
QUANTITY_MAX = 1_000_000
#: Minor units; whole in every JSON reader.
AMOUNT_MAX = 2**53 - 1
#: Business times outside of these cannot be meant, and cannot all be told in every zone.
YEAR_MIN, YEAR_MAX = 1970, 2200
