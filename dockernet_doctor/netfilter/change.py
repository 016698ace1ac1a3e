"""The commands that undo a rule, and who would put it back."""

from __future__ import annotations

from typing import Literal

import msgspec

from dockernet_doctor.netfilter.model import Chain, Packet, Rule


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A way to undo a rule or a policy."""

    summary: str
    commands: tuple[str, ...]
    lasts: Literal["until-restart", "until-reboot", "permanent"]


def owner(rule: Rule | Chain) -> str | None:
    """Who manages the rule, told by chain and table names: ufw, firewalld, csf, docker, …; None: somebody by hand."""
    raise NotImplementedError


def undo(rule: Rule, packet: Packet | None = None) -> list[Change]:
    """Ways to undo the rule, the best first; `packet` is what it should let pass."""
    raise NotImplementedError


def undo_policy(chain: Chain, packet: Packet | None = None) -> list[Change]:
    """Ways to let `packet` pass a base chain whose policy drops it."""
    raise NotImplementedError
