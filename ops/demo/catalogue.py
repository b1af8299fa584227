"""What the demo's shop sells, and where it lies."""

from typing import NamedTuple

#: Locations with people.
STAFFED = ("GLA", "LON", "MAN")
#: The one among them that an external warehouse's own system keeps, and answers for by topic.
EXTERNAL = "GLA"
#: A location that confirms by itself (an automated warehouse).
AUTOMATIC = "AUTO"


class Product(NamedTuple):
    """One SKU, its price in minor units (pence, cents), and its home location."""

    sku: str
    description: str
    price: int
    location: str


PRODUCTS = (
    Product("BOOK-ATLAS", "Pocket atlas", 1499, "GLA"),
    Product("BOOK-COOK", "Cookbook, 120 recipes", 2250, "GLA"),
    Product("BOOK-NOVEL", "Paperback novel", 899, "GLA"),
    Product("PEN-GEL", "Gel pens, set of 6", 575, "GLA"),
    Product("NOTE-A5", "Notebook A5, dotted", 725, "GLA"),
    Product("MUG-BLUE", "Stoneware mug, blue", 1150, "LON"),
    Product("MUG-WHITE", "Stoneware mug, white", 1150, "LON"),
    Product("BOWL-OAK", "Oak bowl", 3400, "LON"),
    Product("LAMP-DESK", "Desk lamp", 4599, "LON"),
    Product("VASE-GLASS", "Glass vase", 2799, "LON"),
    Product("SCARF-WOOL", "Wool scarf", 2999, "MAN"),
    Product("SOCK-3PK", "Socks, three pairs", 1099, "MAN"),
    Product("CAP-NAVY", "Cap, navy", 1850, "MAN"),
    Product("TOTE-BAG", "Tote bag", 1299, "MAN"),
    Product("GLOVE-M", "Gloves, M", 1999, "MAN"),
    Product("PRINT-MAP", "Poster printed on demand, city map", 1699, AUTOMATIC),
    Product("PRINT-STAR", "Poster printed on demand, night sky", 1899, AUTOMATIC),
)

AT = {
    location: tuple(p for p in PRODUCTS if p.location == location)
    for location in (*STAFFED, AUTOMATIC)
}

#: Families of scarce SKUs; each run has its own, so that an earlier run's leftovers change nothing.
LIMITED = "LTD"  # sold out, and received while orders wait for it
SOLD_OUT = "OUT"  # never received: orders that would not wait are refused
ANNOUNCED = "PRE"  # never received: orders wait until their shoppers give up


def scarce(family: str, run: str, number: int = 1) -> Product:
    """A scarce product of one run."""
    names = {LIMITED: "Limited edition", SOLD_OUT: "Sold out", ANNOUNCED: "Announced"}
    return Product(
        f"{family}-{run}-{number}", f"{names[family]} print no. {number}", 4900, STAFFED[0]
    )
