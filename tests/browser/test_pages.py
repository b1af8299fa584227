"""The pages as people use them: by sight, by keyboard, by screen reader, with and without script."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import sign_in
from tests.unit.views.site import Site


def page_of(site: Site, name: str) -> str:
    return f"/orders/{site.orders[name].order_id}/page"


def test_a_stranger_signs_in_and_comes_back_to_the_order(page: Page, site: Site) -> None:
    page.goto(page_of(site, "split"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key is unknown")
    page.get_by_label("API key").fill(site.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 1004")
    page.get_by_role("button", name="Sign out").click()
    page.goto(page_of(site, "split"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_agent_signs_in_with_an_account_of_the_house(page: Page, site: Site) -> None:
    asked = f"{site.pages_url}/?status=cancelled"
    page.goto(asked)
    page.get_by_role("link", name="Sign in with your account").click()
    page.wait_for_url(asked)  # whose page is the provider's site, so that the browser is strict
    expect(page.get_by_text("Signed in as oidc:kim (agent)")).to_be_visible()
    expect(page.get_by_role("rowheader")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    site.issuer.account = {"role": "warehouse"}
    page.get_by_role("link", name="Sign in with your account").click()
    expect(page.get_by_role("alert")).to_contain_text("This account may not look at orders")
    site.issuer.account = {"role": "agent"}


def test_orders_are_found_and_the_filters_stand_in_the_address(page: Page, site: Site) -> None:
    sign_in(page, site.key)
    rows = page.get_by_role("rowheader")
    expect(rows).to_have_count(8)
    page.get_by_label("Number, name").fill("lamp-3")
    page.get_by_label("Number, name").press("Enter")
    expect(rows).to_have_count(1)
    assert "q=lamp-3" in page.url
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Status").select_option("Cancelled")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    assert "status=cancelled" in page.url
    page.reload()
    expect(page.get_by_label("Status")).to_have_value("cancelled")
    page.get_by_role("link", name="1003").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 1003")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").click()
    page.get_by_label("Number, name").fill("no such thing")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No order matches")).to_be_visible()


def test_an_order_shows_what_is_left_and_each_shipment(page: Page, site: Site) -> None:
    sign_in(page, site.key)
    page.goto(page_of(site, "split"))
    states = page.get_by_role("list", name="States")
    expect(states).to_contain_text("Confirmed")
    expect(states).to_contain_text("Partly paid")
    expect(states).to_contain_text("Partly delivered")
    left = page.get_by_role("region", name="Unfulfilled")
    expect(left).to_contain_text("BULB-9")
    expect(left).not_to_contain_text("LAMP-3")
    shipment = page.get_by_role("region", name="Shipment 1")
    expect(shipment).to_contain_text("LAMP-3")
    expect(shipment).to_contain_text("Delivered")
    expect(shipment).to_contain_text("RM11004GB")
    money = page.get_by_role("region", name="Money")
    expect(money).to_contain_text("Still to take")
    expect(money).to_contain_text("£20.00")


def test_a_return_shows_its_refund_and_a_hold_its_reason(page: Page, site: Site) -> None:
    sign_in(page, site.key)
    page.goto(page_of(site, "returned"))
    back = page.get_by_role("region", name="Return 1")
    expect(back).to_contain_text("Refund paid")
    expect(back).to_contain_text("£2.50")
    expect(page.get_by_role("region", name="Money")).to_contain_text("−£2.50")
    page.goto(page_of(site, "held"))
    expect(page.get_by_text("not picked in time").first).to_be_visible()


def test_the_timeline_opens_to_the_record_and_leads_back_in_time(page: Page, site: Site) -> None:
    sign_in(page, site.key)
    page.goto(page_of(site, "completed"))
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline.get_by_role("listitem")).to_have_count(len(site.orders["completed"].said))
    third = timeline.get_by_role("listitem").nth(2)
    expect(third).to_contain_text("+1.0 s")
    third.locator("summary").click()
    expect(third).to_contain_text("oms.order.events, partition")
    expect(third).to_contain_text("Record 2")
    expect(third.locator("pre")).to_contain_text('"reservation_id"')
    third.get_by_role("link", name="The order as of then").click()
    expect(page.get_by_role("status")).to_contain_text("as it was known")
    expect(page.get_by_role("list", name="States")).to_contain_text("Placed")
    expect(page.get_by_role("region", name="Unfulfilled")).to_contain_text("reserved")
    page.get_by_role("link", name="Show it now").click()
    expect(page.get_by_role("list", name="States")).to_contain_text("Completed")


def test_everything_is_reached_by_keyboard(agent: Page) -> None:
    agent.keyboard.press("Tab")
    expect(agent.get_by_role("link", name="Skip to the content")).to_be_focused()
    agent.keyboard.press("Enter")
    agent.keyboard.press("Tab")
    expect(agent.get_by_label("Number, name")).to_be_focused()
    for _ in range(5):
        agent.keyboard.press("Tab")
    focused = agent.evaluate("document.activeElement.closest('table')?.className")
    assert focused == "orders"
    agent.keyboard.press("Enter")
    expect(agent.get_by_role("heading", level=1)).to_contain_text("Order")


def test_no_page_is_wider_than_a_phone(agent: Page, site: Site) -> None:
    agent.set_viewport_size({"width": 320, "height": 700})
    orders = (page_of(site, name) for name in ("returned", "split", "backordered"))
    for path in ("/", *orders, "/sign-in"):
        agent.goto(path)
        assert agent.evaluate("document.documentElement.scrollWidth") <= 320, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: Site, scheme: str) -> None:
    """WCAG 2.2 A and AA, in both colour schemes, with every record of a timeline opened."""
    context = browser.new_context(
        base_url=site.url,
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
    )
    page = context.new_page()
    page.goto("/sign-in")
    problems = {"/sign-in": violations(page)}
    sign_in(page, site.key)
    paths = ["/", "/?q=nothing", "/orders/nobody/page"]
    for path in [*paths, *(page_of(site, name) for name in site.orders)]:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        problems[path] = violations(page)
    context.close()
    assert {path: found for path, found in problems.items() if found} == {}
