"""The table's values as bytes, in the changelog."""

import msgspec

from services.insights.state import Value

_decoder: msgspec.json.Decoder[Value] = msgspec.json.Decoder(Value)
_encoder = msgspec.json.Encoder()


def encode_value(value: Value) -> bytes:
    """A cell or a progress as JSON."""
    return _encoder.encode(value)


def decode_value(data: bytes) -> Value:
    """What `encode_value` made."""
    return _decoder.decode(data)
