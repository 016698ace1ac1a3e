"""Docker's own rules: which are they, and which are missing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dockernet_doctor.netfilter.model import Rule, Ruleset


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a running container publishes on this bridge."""

    protocol: str
    host_address: str
    """0.0.0.0, ::, or one address"""
    host_port: int
    container_address: str
    container_port: int
    container: str = ""


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge network of Docker's, as its rules see it."""

    network: str
    interface: str
    subnets: tuple[str, ...]
    masquerade: bool = True
    internal: bool = False
    icc: bool = True
    nat: bool = True
    """False: gateway mode `routed` or `isolated`: no DNAT and no MASQUERADE."""
    published: tuple[Published, ...] = ()


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A part of Docker's layout that is not there."""

    kind: str
    """chain, jump, dnat, masquerade, forward"""
    what: str
    """In words for people: `MASQUERADE of 172.17.0.0/16 (network bridge)`"""
    family: str
    network: str | None = None
    container: str | None = None


def is_docker_rule(rule: Rule) -> bool:
    """Whether Docker itself wrote the rule. What stands in DOCKER-USER is the operator's own."""
    raise NotImplementedError


def missing_parts(rulesets: Sequence[Ruleset], bridges: Sequence[Bridge]) -> list[Missing]:
    """The chains, jumps and rules that Docker made for these networks and that are gone."""
    raise NotImplementedError
