"""Who orders and where to, as order documents state them: the same over every road by which an order comes."""

from typing import Annotated

from pydantic import Field

from shared.service.fields import Input, OptionalIdentifier, OptionalText


class CustomerIn(Input):
    """Who orders; all optional."""

    customer_id: OptionalIdentifier = ""
    name: OptionalText = ""
    email: Annotated[
        str, Field(max_length=254, pattern=r"^([^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+)?$")
    ] = ""
    phone: Annotated[str, Field(max_length=40, pattern=r"^[0-9+() ./-]*$")] = ""


class AddressIn(Input):
    """Where to. ``country`` is ISO 3166-1 alpha-2."""

    name: OptionalText = ""
    line1: OptionalText = ""
    line2: OptionalText = ""
    city: OptionalText = ""
    region: OptionalText = ""
    postal_code: OptionalText = ""
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
