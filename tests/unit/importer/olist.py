"""Hand-made Olist files: given orders, when imported, then look at the records."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ops.importer import Import
from ops.importer.olist import Olist
from tests.unit.importer.retail import Imported

HEADERS = {
    "olist_orders_dataset.csv": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,"
    "order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date",
    "olist_order_items_dataset.csv": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value",
    "olist_order_payments_dataset.csv": "order_id,payment_sequential,payment_type,payment_installments,payment_value",
    "olist_customers_dataset.csv": "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state",
    "olist_products_dataset.csv": "product_id,product_category_name,product_photos_qty",
    "olist_sellers_dataset.csv": "seller_id,seller_zip_code_prefix,seller_city,seller_state",
    "product_category_name_translation.csv": "\ufeffproduct_category_name,product_category_name_english",
}
BOUGHT, APPROVED = "2018-03-05 10:00:00", "2018-03-05 11:00:00"
LEFT, CAME = "2018-03-06 09:30:00", "2018-03-09 16:00:00"


def hexed(name: str) -> str:
    """A name as 32 hexadecimal digits, as all ids of the source are; different names differ from the first digit on."""
    return (name.encode().hex() * 32)[:32]


class Paid(NamedTuple):
    """A payment."""

    amount: str
    method: str = "credit_card"
    instalments: int = 1


class Sold(NamedTuple):
    """A unit of goods."""

    price: str
    freight: str = "0.00"
    product: str = "p"
    seller: str = "s"


class Shop:
    """Builds the files of a source in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, list[list[str]]] = {name: [] for name in HEADERS}
        self.add("olist_products_dataset.csv", hexed("p"), "moveis_decoracao", "1")
        self.add("product_category_name_translation.csv", "moveis_decoracao", "furniture_decor")
        self.add("olist_sellers_dataset.csv", hexed("s"), "1001", "sao paulo", "SP")

    def add(self, file: str, *cells: str) -> None:
        """One row."""
        self.rows[file].append(list(cells))

    def order(
        self,
        name: str,
        items: list[Sold],
        paid: list[Paid],
        *,
        status: str = "delivered",
        times: tuple[str, str, str, str] = (BOUGHT, APPROVED, LEFT, CAME),
        postal_code: str = "9790",
    ) -> str:
        """An order with its items, payments and customer; returns its id."""
        order, customer = hexed(name), hexed(f"c{name}")
        self.add("olist_orders_dataset.csv", order, customer, status, *times, "")
        self.add("olist_customers_dataset.csv", customer, hexed("u"), postal_code, "santos", "SP")
        for n, x in enumerate(items, 1):
            cells = (order, str(n), hexed(x.product), hexed(x.seller), LEFT, x.price, x.freight)
            self.add("olist_order_items_dataset.csv", *cells)
        for n, y in enumerate(paid, 1):
            cells = (order, str(n), y.method, str(y.instalments), y.amount)
            self.add("olist_order_payments_dataset.csv", *cells)
        return order

    def imported(self, *, without: str = "") -> Imported:
        """Write the files, import them, and prove the books."""
        for name, rows in self.rows.items():
            if name != without:
                with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([HEADERS[name].split(","), *rows])
        run = Import(self.folder, Olist())
        records = list(run)
        return Imported(records, run.summary)
