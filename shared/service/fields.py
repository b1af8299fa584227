"""Field types for request models: each refuses what storage, money or other systems cannot hold.

PostgreSQL text cannot store NUL, UTF-8 cannot encode lone surrogates, and a JSON consumer in
JavaScript cannot represent integers above 2^53: so they stop here, with the field's name.
"""

import re
import unicodedata
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from shared.events.limits import AMOUNT_MAX, QUANTITY_MAX

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_DATE_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:")
_CODE = r"^[A-Za-z0-9](?:[A-Za-z0-9._:/+ -]*[A-Za-z0-9._:/+-])?$"


class Input(BaseModel):
    """Base of request bodies: unknown fields are refused (also server-owned ones), no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _storable(text: str) -> str:
    if found := _UNPRINTABLE.search(text):
        raise PydanticCustomError(
            "control_character",
            "Text must not contain the control character U+{code} (at position {position})",
            {"code": f"{ord(found.group()):04X}", "position": found.start()},
        )
    return unicodedata.normalize("NFC", text)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "Only printable characters")
    return text


def _rfc3339(value: object) -> object:
    # pydantic would read 1700000000 and "1700000000" as seconds since 1970.
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_TIME.match(value)):
        return value
    raise PydanticCustomError("timestamp_type", "Give the time as RFC 3339 text with an offset")


Text = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(_storable),
]
"""1 to 500 characters of human text, normalised to NFC; newlines and tabs allowed, NUL not."""

OptionalText = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=500),
    AfterValidator(_storable),
]
"""Text that may be empty. One type, not a union with "": a union's errors would name its branches."""

Identifier = Annotated[
    str,
    StringConstraints(
        strict=True, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]*$"
    ),
]
"""An id from outside: 1 to 100 of A-Z a-z 0-9 . _ : ~ - and starting with a letter or digit."""

OptionalIdentifier = Annotated[
    str,
    StringConstraints(strict=True, max_length=100, pattern=r"^([A-Za-z0-9][A-Za-z0-9._:~-]*)?$"),
]
"""An id that may be empty."""

Sku = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=_CODE)]
"""A stock keeping unit: 1 to 64 printable ASCII characters, no space at either end."""

Name = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100),
    AfterValidator(_printable),
]
"""What exists already under a name that came on a topic, where a line, SKU or place has 1 to 100 printable characters.
What is named anew over HTTP has an `Identifier` or a `Sku`."""

Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX)]
"""Pieces, 1 to 1,000,000; a JSON integer (2.0, "2" and true are refused)."""

MinorUnits = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_MAX)]
"""Money in minor units of its currency, 0 to 2^53 - 1; a JSON integer."""

Position = Annotated[int, Field(ge=0, lt=2**63)]
"""A version or position, 0 to 2^63 - 1 (PostgreSQL's bigint); for query and path parameters."""

CurrencyCode = Annotated[
    str, StringConstraints(strict=True, min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")
]
"""An ISO 4217 alphabetic code in its form; which currencies are served is the domain's matter."""

Timestamp = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
"""A time with a UTC offset, as RFC 3339 text."""
