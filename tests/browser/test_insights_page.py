"""The insights' dashboard as people use it, with and without script."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.unit.insights.site import Site, more, serving


@pytest.fixture(scope="module")
def insights() -> Iterator[Site]:
    """The dashboard over an hour and a half of a shop."""
    with serving() as site:
        yield site


def opened(browser: Browser, site: Site, **options: object) -> Page:
    context = browser.new_context(base_url=site.url, locale="en-GB", **options)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill(site.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Sales, channels and stock").wait_for()
    return page


@pytest.mark.parametrize("script", [True, False])
def test_figures_charts_and_the_silent_channel_are_there(
    browser: Browser, insights: Site, script: bool
) -> None:
    page = opened(browser, insights, java_script_enabled=script)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    row = page.get_by_role("group", name="Channels", exact=True).get_by_role("row")
    assert row.filter(has_text="web").filter(has_text="Silent").count() == 1
    assert page.get_by_role("alert").filter(has_text="web").count() == 1
    for name in ("orders", "revenue"):
        picture = page.request.get(f"/charts/{name}.svg")
        assert picture.ok
        assert picture.text().startswith("<svg")
    assert problems == []
    page.context.close()


def late(route: Route) -> None:
    time.sleep(0.5)
    route.continue_()


@pytest.mark.parametrize(("script", "further"), [("in time", 400), ("late", 800)])
def test_figures_follow_the_orders_without_a_reload(
    browser: Browser, insights: Site, script: str, further: int
) -> None:
    page = opened(browser, insights)
    if script == "late":
        page.route("**/hx-sse-4.min.js", late)
        page.reload()
    page.evaluate("window.since = 'the first look'")
    today = page.locator("dl.figures div", has_text="Orders, today").locator("dd")
    as_of = page.get_by_text("As of")
    before, clock = today.inner_text(), as_of.inner_text()
    opened_table = page.get_by_text("As a table").first
    opened_table.press("Enter")

    insights.add(more(further))

    expect(today).not_to_have_text(before, timeout=30_000)
    expect(as_of).not_to_have_text(clock)
    live = today.inner_text()
    assert int(live.replace(",", "")) > int(before.replace(",", ""))
    for name in ("Orders", "Revenue"):
        picture = page.get_by_role("img", name=name).first
        assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 0
    assert page.evaluate("window.since") == "the first look"
    expect(page.get_by_role("group", name="Orders a minute, by channel")).to_be_visible()
    expect(opened_table).to_be_focused()
    page.reload()
    assert today.inner_text() == live
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, insights: Site, scheme: str) -> None:
    page = opened(browser, insights, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    assert results.response["passes"], "axe has looked at nothing"
    found = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in results.response["violations"]]
    assert found == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_labels_of_charts_can_be_read(browser: Browser, insights: Site, scheme: str) -> None:
    """WCAG 2.2, 1.4.3, which axe does not look for in pictures."""
    page = opened(browser, insights, color_scheme=scheme)
    card = page.locator(".card").first.evaluate("card => getComputedStyle(card).backgroundColor")
    page.goto("/charts/orders.svg")
    fills = page.evaluate(
        "[...new Set([...document.querySelectorAll('text')].map(t => getComputedStyle(t).fill))]"
    )
    assert fills
    assert min(contrast(fill, card) for fill in fills) >= 4.5
    page.context.close()


def contrast(one: str, other: str) -> float:
    """Of two colours as a browser writes them (WCAG 2.2, "contrast ratio")."""

    def luminance(colour: str) -> float:
        parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (
            x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_a_channels_key_does_not_open_it(insights: Site) -> None:
    with httpx.Client(base_url=insights.url, trust_env=False) as http:
        answer = http.post("/sign-in", data={"key": insights.channel_key})
        assert answer.status_code == 403
        assert "may not look" in answer.text
        assert http.get("/sales").status_code == 401
        headers = {"authorization": f"Bearer {insights.channel_key}"}
        assert http.get("/sales", headers=headers).status_code == 403
