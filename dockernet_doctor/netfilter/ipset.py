"""The dump of `ipset save`."""

from __future__ import annotations

from dockernet_doctor.netfilter.model import NamedSet


def parse_ipset_save(text: str) -> dict[str, NamedSet]:
    """Sets by name."""
    raise NotImplementedError
