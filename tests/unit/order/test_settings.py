"""Settings that the order service must not start with."""

import pytest

from services.inventory.domain.limits import HOLD_SECONDS_MAX
from services.order.__main__ import OrderSettings
from shared.service.settings import InvalidSettingsError


def test_stock_is_held_no_longer_than_inventory_allows() -> None:
    assert OrderSettings.load(hold_seconds=HOLD_SECONDS_MAX).hold_seconds == HOLD_SECONDS_MAX
    with pytest.raises(InvalidSettingsError, match="OMS_HOLD_SECONDS"):
        OrderSettings.load(hold_seconds=HOLD_SECONDS_MAX + 1)
