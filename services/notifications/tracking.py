"""The link in a mail about a parcel, to the page that shows where it is."""

from datetime import timedelta

from services.notifications.domain.messages import SendEmail
from shared.service.links import Links

#: From when the parcel left. Later nobody looks for it any more, and who finds the mail should see nothing.
VALID = timedelta(days=90)


class ParcelPage:
    """Where the page is: ``url`` is the views' address as customers reach it."""

    def __init__(self, url: str, links: Links) -> None:
        self._url = url.rstrip("/")
        self._links = links

    def link_to(self, mail: SendEmail) -> str:
        """The page of the mail's parcel; empty when it is about none, or there are no pages.

        It follows from the mail alone, like the rest of its bytes, for as long as the key stays the same.
        """
        if not (self._url and self._links and mail.package_id):
            return ""
        return (
            f"{self._url}/track/{self._links.sign(mail.order_id, mail.package_id, mail.at + VALID)}"
        )
