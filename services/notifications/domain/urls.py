"""Which addresses a webhook may be sent to."""

from ipaddress import ip_address
from urllib.parse import urlsplit

URL_LENGTH_MAX = 1000


def objection(url: str) -> str:
    """Why ``url`` cannot be an endpoint, and what to give instead; empty when it can.

    https is required, because payloads are signed and not encrypted; plain http is for loopback
    only. Credentials in the address would end up in logs of proxies, so there are none.
    """
    if len(url) > URL_LENGTH_MAX:
        return f"The address is longer than {URL_LENGTH_MAX} characters: shorten it."
    if not url.isascii() or any(c <= " " or c in "\x7f\\" for c in url):
        return "Write spaces, backslashes and what is not ASCII as %XX, and a host's name as xn--… (punycode)."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"The address cannot be read ({error}): give https://host/path."
    if parts.scheme not in ("http", "https") or not host:
        return "Give an absolute address, https://host/path."
    if "@" in parts.netloc:
        return "The address must not hold credentials: webhooks are authenticated by signature."
    if parts.fragment:
        return "The address must not have a fragment (#…): it would never be sent."
    if port == 0:
        return "Port 0 is no port."
    if parts.scheme == "http" and not is_loopback(host):
        return "Plain http is for loopback only: use https."
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
