"""Settings of the fake provider's process, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KEY_LENGTH_MIN = 16


class PaymentsSettings(BaseSettings):
    """`OMS_HOST`, `OMS_PORT` (0 takes a free one), `OMS_LOG_LEVEL` and `OMS_PAYMENTS_…`.

    `…LEDGER` is the path of the ledger's file and `…KEY` the API key, both required; `…HANG_S` is
    for how many seconds a lost answer keeps its connection.
    """

    model_config = SettingsConfigDict(env_prefix="OMS_", extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8110
    log_level: str = "info"
    payments_ledger: Path | None = Field(default=None, validate_default=True)
    payments_key: SecretStr = Field(default=SecretStr(""), validate_default=True)
    payments_hang_s: Annotated[float, Field(gt=0, le=600)] = 30.0

    @field_validator("payments_ledger")
    @classmethod
    def _ledger_named(cls, value: Path | None) -> Path:
        if value is None:
            raise ValueError("set OMS_PAYMENTS_LEDGER to the ledger's path; it is made if missing")
        return value

    @field_validator("payments_key")
    @classmethod
    def _key_long_enough(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if len(secret) < KEY_LENGTH_MIN or not secret.isascii() or not secret.isprintable():
            raise ValueError(
                f"set OMS_PAYMENTS_KEY to at least {KEY_LENGTH_MIN} random printable ASCII "
                "characters; nothing is open by default"
            )
        return value
