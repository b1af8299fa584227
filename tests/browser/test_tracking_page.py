"""The page that a shopper's mail leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from shared.service.links import Links
from tests.browser.axe import violations
from tests.unit.views.site import Site

SOON = datetime.now(UTC) + timedelta(days=1)


def parcel(site: Site, name: str) -> tuple[str, str]:
    """An order's id, and that of its first parcel."""
    order_id = site.orders[name].order_id
    bearer = {"Authorization": f"Bearer {site.key}"}
    order = httpx.get(f"{site.url}/orders/{order_id}", headers=bearer).json()
    return order_id, order["shipments"][0]["package_id"]


def link(site: Site, name: str, expires: datetime = SOON) -> str:
    return f"/track/{site.links.sign(*parcel(site, name), expires)}"


def test_a_shopper_sees_where_the_parcel_is_and_nothing_personal(page: Page, site: Site) -> None:
    page.goto(link(site, "completed"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Your parcel has arrived")
    steps = page.get_by_role("list", name="How far it has come").get_by_role("listitem")
    expect(steps).to_have_count(3)
    expect(steps.nth(2)).to_contain_text("Delivered")
    expect(page.get_by_role("region", name="Carrier")).to_contain_text("RM11001GB")
    customer = site.orders["completed"].said[0].event.customer  # type: ignore[union-attr]
    text = page.content()
    assert customer.email
    for secret in (customer.email, customer.name, customer.phone, "£", 'href="/"'):
        assert not secret or secret not in text, secret


def test_a_parcel_shows_only_what_it_holds(page: Page, site: Site) -> None:
    page.goto(link(site, "split"))
    expect(page.get_by_role("region", name="In this parcel")).to_contain_text("1 ×")
    expect(page.get_by_role("region", name="In this parcel")).not_to_contain_text("4 ×")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_it_fits_a_phone(browser: Browser, site: Site, scheme: str) -> None:
    context = browser.new_context(
        base_url=site.url,
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
        viewport={"width": 320, "height": 700},
    )
    page = context.new_page()
    for path in (link(site, "returned"), "/track/nothing"):
        page.goto(path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    context.close()


def test_links_that_are_none_end_and_are_slowed_down(site: Site) -> None:
    with httpx.Client(base_url=site.url) as http:
        forged = Links({"new": "f" * 32}).sign(*parcel(site, "completed"), SOON)
        for path in (f"/track/{forged}", "/track/x", link(site, "completed") + "x"):
            answer = http.get(path)
            assert (answer.status_code, "We do not know this link" in answer.text) == (404, True)
        past = http.get(link(site, "completed", datetime(2026, 1, 1, tzinfo=UTC)))
        assert (past.status_code, "has expired" in past.text) == (410, True)
        unknown = http.get(f"/track/{site.links.sign('nobody', 'p', SOON)}")
        assert (unknown.status_code, "Nothing is known" in unknown.text) == (404, True)
        old = Links({"old": "o" * 32}).sign(*parcel(site, "returned"), SOON)
        answers = [http.get(f"/track/{old}") for _ in range(8)]
        assert answers[0].status_code == 200
        slowed = next(a for a in answers if a.status_code == 429)
        assert int(slowed.headers["retry-after"]) >= 1
        for answer in (answers[0], past, slowed):
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "noindex" in answer.headers["x-robots-tag"]
            assert answer.headers["cache-control"] == "private, no-store"
            assert "script" not in answer.headers["content-security-policy"]
