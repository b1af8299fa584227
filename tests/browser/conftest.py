"""A browser, and the pages of the views served for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ops.stack import Stack
from tests.unit.views.site import Site, database, serving, shop

CHROMIUM = next(
    (p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))),
    None,
)


@pytest.fixture(scope="session")
def site(stack: Stack) -> Iterator[Site]:
    """The pages over a shop with an order in each state."""
    with database(stack) as dsn, serving(dsn, shop()) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. It goes with its module: Playwright's event loop would be in the way of other tests'."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=["script", "no-script"])
def page(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Page]:
    """A new visitor, with and without JavaScript: the pages need none."""
    context = browser.new_context(
        base_url=site.url, java_script_enabled=request.param == "script", locale="en-GB"
    )
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def agent(browser: Browser, site: Site) -> Iterator[Page]:
    """A person who has signed in."""
    context = browser.new_context(base_url=site.url, locale="en-GB")
    context.set_default_timeout(10_000)
    page = context.new_page()
    sign_in(page, site.key)
    yield page
    context.close()


def sign_in(page: Page, key: str) -> None:
    """Through the form, as a person does."""
    page.goto("/sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Orders").wait_for()
