"""A bundle without its owner's names and addresses, and the way back for the owner."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.snapshot.bundle import PSEUDONYMS, Bundle
from dockernet_doctor.snapshot.name_pseudonyms import NamePseudonyms
from dockernet_doctor.snapshot.pseudonyms import Pseudonyms

_MAP_SCHEMA = "dockernet-doctor/pseudonyms/1"


class Pseudonymised(NamedTuple):
    """A bundle with pseudonyms, and the way back: pseudonym → what stood there."""

    bundle: Bundle
    addresses: dict[str, str]
    names: dict[str, str]

    def way_back(self) -> bytes:
        """The file that its owner keeps: JSON, `dockernet-doctor/pseudonyms/1`."""
        made = {"schema": _MAP_SCHEMA, "addresses": self.addresses, "names": self.names}
        return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def pseudonymise(bundle: Bundle) -> Pseudonymised:
    """The bundle with every IP and MAC address and every name mapped, see `pseudonyms` and `name_pseudonyms`."""
    plain: Any = msgspec.to_builtins(bundle)
    names, addresses = NamePseudonyms(bundle, secrets.token_bytes(16)), Pseudonyms.for_texts(plain)
    mapped = msgspec.convert(addresses.of(names.of(plain)), Bundle)
    removed = tuple(dict.fromkeys((*mapped.snapshot.removed, PSEUDONYMS)))
    mapped = msgspec.structs.replace(mapped, snapshot=msgspec.structs.replace(mapped.snapshot, removed=removed))
    back = {pseudonym: name for name, pseudonym in names.names.items()}
    return Pseudonymised(mapped, dict(sorted(addresses.way_back.items())), dict(sorted(back.items())))
