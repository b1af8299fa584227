"""Amounts as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.currencies import decimals, shown


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123456, "GBP", "£1,234.56"),
        (5, "EUR", "€0.05"),
        (1234, "JPY", "¥1,234"),
        (1234567, "KWD", "KWD\u00a01,234.567"),
        (0, "USD", "$0.00"),
        (-1, "GBP", "−£0.01"),
        (10050, "CHF", "CHF\u00a0100.50"),
        (1500, "XAF", "XAF\u00a01,500"),
        (2**63, "USD", "$92,233,720,368,547,758.08"),
        (12345, "CLF", "CLF\u00a01.2345"),
        (1234, "", "12.34"),
    ],
)
def test_an_amount_reads_as_people_write_it(amount: int, currency: str, text: str) -> None:
    assert shown(amount, currency) == text


@given(st.integers(), st.sampled_from(["GBP", "JPY", "KWD", "CLF", "XTS"]))
def test_an_amount_shows_every_digit(amount: int, currency: str) -> None:
    digits = "".join(filter(str.isdigit, shown(amount, currency)))
    assert int(digits) == abs(amount)
    assert len(digits) > decimals(currency)
