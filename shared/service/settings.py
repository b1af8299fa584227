"""Settings from the environment (prefix OMS_), checked before anything starts."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared.service.limits import Rates
from shared.service.trust import SAFE_URL, SignOn, Trust
from shared.stream.login import Login

EXIT_SETTINGS = 2
PREFIX = "OMS_"
_SECRET_WORDS = ("key", "database", "postgres", "password", "secret", "token")


#: Types of settings of which a service has a default of its own: their bounds and meaning go with them.
Port = Annotated[int, Field(ge=0, le=65535, description="HTTP port, 0 for any free one")]
Pause = Annotated[float, Field(ge=0, le=5, description="Pause of a consumer after records")]


class Settings(BaseSettings):
    """What every service reads. A service subclasses it, sets `service`'s default and adds its own.

    Secrets are excluded from `repr`, so that a logged settings object shows none.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    service: str = Field("service", description="Name in logs, metrics and topics")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Port = 8100
    database: str = Field("", repr=False, description="This service's own libpq URL")
    kafka: str = Field(
        "127.0.0.1:8192",
        pattern=r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$",
        description="Bootstrap servers, host:port separated by commas",
    )
    kafka_username: str = Field("", description="SCRAM-SHA-512 user; empty: the broker is open")
    kafka_password: str = Field("", repr=False, description="Its password")
    kafka_ca: Path | None = Field(None, description="PEM file of the broker's CA; none: no TLS")
    keys_file: Path | None = Field(None, description="JSON file of hashed API keys")
    oidc_issuer: str = Field("", description="Whose tokens are believed: their iss; empty: none")
    oidc_audience: str = Field("", validate_default=True, description="Our name in a token's aud")
    oidc_jwks_url: str = Field(
        "",
        validate_default=True,
        pattern=f"^({SAFE_URL})?$",
        description="Where the issuer publishes its keys; https, save on this machine",
    )
    oidc_roles_claim: str = Field(
        "roles", min_length=1, description="Claim with one role; dots lead inside"
    )
    oidc_channel_claim: str = Field("channel", min_length=1, description="Whose channel it is")
    oidc_customer_claim: str = Field(
        "customer_id", min_length=1, description="The customer's id, as in the orders"
    )
    oidc_leeway_s: int = Field(
        30, ge=0, le=300, description="By how much the issuer's clock may differ from ours"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="The least that is logged"
    )
    log_format: Literal["json", "console"] = Field("json", description="For programs or for people")
    access_log: bool = Field(False, description="Log every request")
    peers: dict[str, str] = Field(default_factory=dict, description="JSON: service → base URL")
    peer_key: str = Field("", repr=False, description="API key to read peers' feeds")
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of topics this creates")
    gather_s: Pause = 0.005
    rate_per_s: float = Field(
        1000, ge=0, description="Requests a second that one caller may send; 0: no limit"
    )
    rates: dict[str, float] = Field(
        default_factory=dict,
        description='JSON: callers with a rate of their own, {"channel:web": 50}',
    )
    stranger_rate_per_s: float = Field(
        200, ge=0, description="The same for an address that sends no key"
    )
    proxies: str = Field(
        "", description="Proxies whose X-Forwarded-For is believed: addresses, networks"
    )
    new_work_max: int = Field(
        128, ge=1, description="Orders being placed at once; more are turned away with 503"
    )
    lag_max_s: float = Field(
        5, ge=0, description="Seconds behind at which no order is let in; 0: never mind"
    )
    lag_min: int = Field(2000, ge=0, description="Records behind up to which lag does not count")
    lag_groups: tuple[str, ...] = Field(
        ("oms-order", "oms-inventory", "oms-fulfillment"),
        description="JSON list of the consumer groups whose lag counts",
    )
    drain_s: float = Field(9.0, gt=0, le=300, description="Time to finish work after SIGTERM")
    stalled_s: float = Field(60.0, gt=0, description="No progress while behind: exit with 70")
    loop_lag_alarm_s: float = Field(0.25, gt=0, description="Event loop delay to report")

    @property
    def request_rates(self) -> Rates:
        """How many requests callers may send."""
        return Rates(self.rate_per_s, self.stranger_rate_per_s, self.rates)

    @property
    def kafka_login(self) -> Login:
        """How Kafka clients show who they are."""
        return Login(self.kafka_username, self.kafka_password, self.kafka_ca)

    @field_validator("oidc_audience", "oidc_jwks_url")
    @classmethod
    def _all_of_oidc(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("oidc_issuer")):
            raise ValueError("OMS_OIDC_ISSUER, _AUDIENCE and _JWKS_URL are given together")
        return value

    @property
    def trust(self) -> Trust | None:
        """Whose tokens are believed, if anybody's."""
        if not self.oidc_issuer:
            return None
        return Trust(
            self.oidc_issuer,
            self.oidc_audience,
            self.oidc_jwks_url,
            self.oidc_roles_claim,
            self.oidc_channel_claim,
            self.oidc_customer_claim,
            self.oidc_leeway_s,
        )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment; `values` win over it. Raises InvalidSettingsError."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise InvalidSettingsError(_explain(cls, error)) from error
        except SettingsError as error:
            raise InvalidSettingsError(
                f"A variable is not valid JSON: {error}. Give it as JSON, for example "
                f'{PREFIX}PEERS=\'{{"order": "http://127.0.0.1:8101"}}\'.'
            ) from error


class PagesSettings(Settings):
    """What a service with pages reads besides, to have people signed on by the identity provider."""

    oidc_client_id: str = Field("", description="Our name at the issuer; empty: keys only")
    oidc_client_secret: str = Field(
        "", repr=False, description="Its secret; a public client has none"
    )
    oidc_scope: str = Field("openid", description="What is asked for, words separated by blanks")
    pages_url: str = Field(
        "",
        validate_default=True,
        pattern=f"^({SAFE_URL})?$",
        description="Where browsers reach the pages; https, save on this machine",
    )

    @field_validator("pages_url")
    @classmethod
    def _all_of_sign_on(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_client_id") and not (value and info.data.get("oidc_issuer")):
            raise ValueError("OMS_OIDC_CLIENT_ID needs OMS_PAGES_URL and OMS_OIDC_ISSUER beside it")
        return value

    @property
    def sign_on(self) -> SignOn | None:
        """Who signs people on, if anybody does."""
        if not self.oidc_client_id:
            return None
        return SignOn(
            self.oidc_issuer,
            self.oidc_client_id,
            self.oidc_client_secret,
            self.oidc_audience,
            self.oidc_scope,
            self.pages_url,
        )


class InvalidSettingsError(ValueError):
    """Settings that cannot work; the message names each variable, its value and what to do."""


def _explain(settings: type[Settings], error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        variable = PREFIX + name.upper()
        # A required variable that is absent carries the whole input, which is not its value.
        absent = item["type"] == "missing"
        secret = any(word in name.lower() for word in _SECRET_WORDS)
        value = "is not set" if absent else "***" if secret else f"{item['input']!r}"
        field = settings.model_fields.get(name)
        meaning = (field.description if field else None) or f"a setting of {settings.__name__}"
        lines.append(
            f"{variable}{' ' if absent else '='}{value}: {item['msg']}. "
            f"Set {variable} to a valid value ({meaning})."
        )
    return "\n".join(lines)


S = TypeVar("S", bound=Settings)


def load_settings(settings: type[S], **values: Any) -> S:
    """Settings, or the explanation on standard error and exit status 2."""
    try:
        return settings.load(**values)
    except InvalidSettingsError as error:
        sys.stderr.write(f"Invalid settings:\n{error}\n")
        raise SystemExit(EXIT_SETTINGS) from None
