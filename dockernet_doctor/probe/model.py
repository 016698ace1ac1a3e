"""What may be asked of the network, from where, and what came back.

A `Probe` is a value: two checks that want the same thing want an equal probe, sent once. An `Answer` is what the
scheduler recorded for it. Both are serialisable, so that a bundle replays to the same diagnosis.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

ProbeKind = Literal["tcp", "udp", "dns", "icmp", "arp", "scan", "http", "greet"]

#: Answers that mean "it came through".
POSITIVE = frozenset({"open", "reply"})
#: Answers that mean "nobody said anything", as opposed to a no.
SILENT = frozenset({"timeout", "no-reply"})

#: The detail of a scan that was not sent for want of the program.
NO_NMAP = "the program nmap is not installed"


class Vantage(Struct, frozen=True, omit_defaults=True):
    """Where a probe is sent from: the host itself, or the network namespace of one of its containers."""

    host: str  # a snapshot's name
    container: str = ""  # container id; "" for the host itself


class Probe(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question put to the network.

    tcp   connect to address:port, then watch briefly whether the connection stays
    udp   one datagram to address:port
    dns   ask the server at address:port for `name` (`record` A or AAAA) over udp, or tcp where `over_tcp`
    icmp  echo request to address, with `size` bytes of payload and the don't-fragment bit where `size` is given
    arp   who has address, on `interface`
    scan  nmap connect scan of address, port `ports`
    http  HEAD / at address:port for the host `name`, status line only
    greet the first bytes of the protocol `name` (`greet.GREETINGS`) at address:port; only a refusal is kept of what is said
    """

    kind: ProbeKind
    vantage: Vantage
    address: str
    port: int = 0
    name: str = ""
    record: str = "A"
    over_tcp: bool = False
    interface: str = ""
    size: int = 0  # bytes
    ports: str = ""  # scan only: "80,443,8000-8010"
    source: str = ""  # bind to this address first
    counters: bool = False  # read the host's firewall counters before and after
    sample: int = 0  # distinguishes the repetitions of one question (`reach --repeat`)


class CounterMove(Struct, frozen=True, kw_only=True):
    """A firewall rule whose packet counter grew while a probe was under way."""

    tool: str
    family: int
    table: str
    chain: str
    rule: str  # as `iptables -S` prints it; "" for the chain's policy
    packets: int


class ScannedPort(Struct, frozen=True, kw_only=True):
    port: int
    protocol: str
    state: str  # open, closed, filtered, open|filtered


RESULTS = frozenset(
    (
        "open", "reply", "refused", "reset", "accepted-then-closed", "timeout", "no-reply", "unreachable-host",
        "unreachable-net", "unreachable-port", "unreachable-prohibited", "nxdomain", "servfail", "not-sent", "too-big",
    )
)  # fmt: skip


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back.

    `result` is one of RESULTS. "not-sent" is a blind spot, never a network fault: `detail` says why.
    """

    probe: Probe
    result: str
    attempts: int = 1
    latency_ms: float | None = None
    addresses: tuple[str, ...] = ()  # dns: what the name resolved to
    source: str = ""  # who answered, where that differs from the address asked
    detail: str = ""
    status_line: str = ""  # http
    said: str = ""  # tcp, greet: by what words the server refuses whom it was reached by
    spoke: bool = False  # tcp: the server said something by itself, which docker-proxy never does
    mac: str = ""  # arp
    ports: tuple[ScannedPort, ...] = ()  # scan
    moved: tuple[CounterMove, ...] = ()

    @property
    def positive(self) -> bool:
        return self.result in POSITIVE

    @property
    def sent(self) -> bool:
        return self.result != "not-sent"

    @property
    def mute(self) -> bool:
        """True if the server took the connection and then said nothing, where something was to be said."""
        return self.detail == NOTHING_SAID and self.probe.kind in ("tcp", "http", "greet")


#: `detail` where there was a connection, and the server kept silent as long as it was waited for.
NOTHING_SAID = "connected, and nothing was said"

#: `detail` of what was not sent, or not asked again, since the run had no time left.
OUT_OF_TIME = "out of time"

#: A SYN that is lost is sent again after a second (RFC 6298), and so does our DNS client: the answer comes late.
SENT_AGAIN_MS = 950.0


def is_lost(answer: Answer) -> bool:
    """True if a packet of the probe, or its answer, got lost on the way."""
    late = answer.probe.kind in ("tcp", "dns") and answer.latency_ms is not None and answer.latency_ms >= SENT_AGAIN_MS
    return answer.sent and (not answer.positive or late)
