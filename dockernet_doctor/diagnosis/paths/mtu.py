"""How large a packet may be on a way out of this host: asked with echo requests that must not be fragmented.

A way that small packets pass and large ones do not, without anybody saying so, lets connections open and then hang (RFC 2923).
"""

from __future__ import annotations

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import lookup
from dockernet_doctor.probe.model import Probe
from dockernet_doctor.snapshot.model import Container, Link

LADDER = (8000, 1492, 1480, 1450, 1420, 1400, 1380, 1340, 1280)  # PPPoE, tunnels, VXLAN, WireGuard, …, the least of IPv6
_HEADERS = {4: 28, 6: 48}  # IP and ICMP


class BlackHole(Struct, frozen=True, kw_only=True):
    """Packets of `mtu` bytes vanish, those of `passed` arrive."""

    link: Link
    mtu: int
    passed: int


def egress(facts: HostFacts, source: Container, address: str) -> Link | None:
    """The container's interface on the way to the address."""
    stack = facts.stack_of(source)
    found = lookup(stack, address) if stack else None
    return next((link for link in stack.links if found and link.name == found.link), None) if stack else None


def size_probes(case: Case, facts: HostFacts, source: Container, address: str) -> tuple[Probe, ...]:
    """A small and the largest packet; once the large one has vanished, the usual sizes between."""
    link = egress(facts, source, address)
    if link is None or not 1280 < link.mtu <= 9216:
        return ()
    small, large = _probe(case, facts, source, address, 0), _probe(case, facts, source, address, link.mtu)
    answers = (case.answer(small), case.answer(large))
    if answers[0] is None or answers[1] is None or answers[0].result != "reply" or answers[1].result != "timeout":
        return small, large
    return (small, large, *(_probe(case, facts, source, address, mtu) for mtu in LADDER if mtu < link.mtu))


def black_hole(case: Case, facts: HostFacts, source: Container, address: str) -> BlackHole | None:
    """What the size probes showed; None where all is well, or a destination just answers no large ping."""
    link = egress(facts, source, address)
    large = case.answer(_probe(case, facts, source, address, link.mtu)) if link else None
    if link is None or large is None or large.result != "timeout":
        return None
    for mtu in LADDER:
        answer = case.answer(_probe(case, facts, source, address, mtu)) if mtu < link.mtu else None
        if answer is not None and answer.result == "reply":
            return BlackHole(link=link, mtu=link.mtu, passed=mtu)
    return None


def _probe(case: Case, facts: HostFacts, source: Container, address: str, mtu: int) -> Probe:
    size = max(mtu - _HEADERS[6 if ":" in address else 4], 0)
    return Probe(kind="icmp", vantage=case.vantage(facts, source), address=address, size=size)
