"""What a typed name means, and what of it is not there: a container by its name or id, else a service for all its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.notation import listed
from dockernet_doctor.snapshot.model import BlindSpot, Container


class Absent(Struct, frozen=True, kw_only=True):
    """A container that was asked for, and why it is not there.

    host     the one that was asked for, "" for any
    why      `none` is called so, its daemon did not show it (`unread`), or one did not list its containers (`silent`)
    nearest  containers with names that look alike
    """

    name: str
    host: str = ""
    why: Literal["none", "unread", "silent"]
    nearest: tuple[str, ...] = ()

    @property
    def spot(self) -> BlindSpot:
        """What the report says of it."""
        close = [f"{name}@{self.host}" if self.host else name for name in self.nearest]
        remedy = "" if self.why != "none" else f"did you mean {listed(close, 'or')}?" if close else "docker ps -a lists them"
        if self.why == "none":
            return BlindSpot(area="engine", what=f"no container is named {self.name}", why="", remedy=remedy)
        why = {"unread": "it could not be read", "silent": "the daemon did not list its containers"}
        return BlindSpot(area="engine", what=f"the container {self.name}", why=why[self.why], remedy=remedy)


def absent(hosts: Sequence[HostFacts], name: str, host: str = "") -> Absent:
    """Why none of the hosts has the container of this name."""
    if any(facts.snapshot.engine is None for facts in hosts):
        return Absent(name=name, host=host, why="silent")
    if any(facts.unread(name) for facts in hosts):
        return Absent(name=name, host=host, why="unread")
    from difflib import get_close_matches

    known = dict.fromkeys(c.name for facts in hosts for c in facts.containers)
    return Absent(name=name, host=host, why="none", nearest=tuple(get_close_matches(name, known, n=3, cutoff=0.5)))


def containers(hosts: Sequence[HostFacts], word: str) -> list[Container]:
    """The containers that a word means: those called so, else the members of the service `service:shop/web`, `shop/web` or
    `web`; none where nothing has the name."""
    called = [container for facts in hosts if (container := facts.container(word))]
    return called or [c for facts in hosts for c in members_of_service(facts, word.removeprefix("service:"))]


def members_of_service(facts: HostFacts, name: str) -> list[Container]:
    """Members of a Compose service (`project/service`, or `service` where that is unique) or Swarm service."""
    project, _, service = name.rpartition("/")
    found = [
        c
        for c in facts.containers
        if (c.compose and c.compose.service == service and project in ("", c.compose.project))
        or (c.swarm and c.swarm.service in (name, service))
    ]
    there = [c for c in found if not (c.swarm and facts.set_aside(c))]  # Swarm keeps what is left of replaced tasks
    return sorted(there or sorted(found, key=lambda c: c.created)[-1:], key=lambda c: c.name)
