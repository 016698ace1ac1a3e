"""The dumps of iptables-save and ip6tables-save."""

from __future__ import annotations

from dockernet_doctor.netfilter.model import Backend, Family, Ruleset


def parse_iptables_save(text: str, family: Family, backend: Backend) -> Ruleset:
    """A dump with or without counters (`-c`)."""
    raise NotImplementedError
