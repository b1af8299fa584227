"""The contents of the services' secrets for a new installation: files for ``kubectl create secret --from-file``.

No manifest holds a secret; this makes the ones that only we can make (API keys, the key of the webhooks) and leaves an
empty file for what others give out (the payment provider, the mail server).
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ops.k8s.shapes import Needs
from ops.stack.process import write_atomically
from ops.system.keys import ensure_keys

#: What a new file holds, by the name of the key in the secret: ours is made here, a list of others' is empty. Every other
#: one comes from somebody else, and its file waits for it without a word in it.
_FIRST: Mapping[str, Callable[[], str]] = {
    "webhook-key": lambda: secrets.token_urlsafe(48),
    "shopify-secrets": lambda: "[]",
}


def write(folder: Path, everyone: Iterable[Needs]) -> list[Path]:
    """Write ``<folder>/<service>-secrets/<key>`` (mode 0600) where missing; returns the folders.

    The plain API keys stand in ``<folder>/keys/plain.json``: keep it, the services hold only hashes.
    """
    needs = tuple(everyone)
    keys = ensure_keys(folder, tuple(x.name for x in needs))
    written = []
    # One service signs what another one reads, so both secrets hold the same.
    shared = {"tracking-keys": keys.tracking_keys}
    for one in needs:
        target = folder / one.secret
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(target / "keys.json", keys.file(one.name).read_text())
        if one.peers:
            write_atomically(target / "peer-key", keys.service)
        for name in one.shape.secrets.values():
            path = target / name
            if not path.exists():
                first = _FIRST[name]() if name in _FIRST else shared.get(name, "")
                write_atomically(path, first)
        written.append(target)
    return written
