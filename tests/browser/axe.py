"""What axe has to say about a page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What breaks WCAG 2.2 A or AA, in one line each."""
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    assert results.response["passes"], "axe has looked at nothing"
    return [
        f"{v['id']}: {v['help']}: {node['html'][:150]}"
        for v in results.response["violations"]
        for node in v["nodes"][:2]
    ]
