"""The hops of a question, and what stood in the way.

`walk` fills these records from the snapshot (predicted) and the answers (observed). At the first broken hop stands an
`Obstacle`: a fact in the words of Linux and Docker networking. Which *cause* it is, is for the checks to say.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from dockernet_doctor.netfilter.model import Decision
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.snapshot.model import (
    ConntrackEntry,
    Container,
    Endpoint,
    Family,
    ForwardingEntry,
    IpsecPolicy,
    Link,
    Listener,
    Network,
    Process,
    Protocol,
    PublishedPort,
    RoutingRule,
)

from .question import Question

HOPS = ("target", "name", "network", "publish", "link", "route", "filter", "mapping", "listener", "answer")
HopStatus = Literal["ok", "broken", "unknown", "not-reached", "not-applicable"]
Verdict = Literal["reachable", "unreachable", "unknown", "partly"]
Basis = Literal["probed", "predicted"]


class Obstacle(Struct, frozen=True, kw_only=True):
    """What stands in the way at a hop.

    proven  the state itself was read, or a probe or counter showed it
    reason  which of the reasons that its kind can have, decided once by `reasons`; "" for kinds that have but one
    """

    proven: bool = False
    reason: str = ""


# target
class NoSuchTarget(Obstacle, frozen=True, kw_only=True):
    name: str
    nearest: tuple[str, ...] = ()


class NotRunning(Obstacle, frozen=True, kw_only=True):
    container: Container


class Paused(Obstacle, frozen=True, kw_only=True):
    container: Container


# name
NameReason = Literal[
    "",  # not decided yet
    "search-stops",  # a search domain's server fails, and libc asks for nothing further
    "family",  # it has an address of one family, and libc wants an answer for both
    "host-name",  # host.docker.internal and the like, which this container does not know
    "nobody",  # nobody within reach has the name
    "host-mode",  # an end in mode host, where Docker serves no names
    "namespace-lost",  # the source has no network left: that of the container whose namespace it shared
    "network-none",  # the source is on `none`
    "no-network",  # the source is on no network at all
    "other-resolver",  # a server is asked in place of Docker's DNS, or before it
    "embedded-silent",  # 127.0.0.11 itself fails
    "generated-name",  # before engine 25, names that Docker generated
    "hostname",  # the target's hostname or id, which Docker's DNS does not serve
    "default-bridge",  # the two share the default bridge alone, which has no names
    "apart",  # the two share no network
    "service-apart",  # a Swarm service on other networks, its tasks on other hosts
    "no-servers",  # nobody chose servers for names outside Docker
    "internal",  # internal networks only: no way to such servers
    "loopback-servers",  # the servers are on loopback, which is the container's own
    "servers-silent",  # the servers do not answer
]


class NameUnanswered(Obstacle, frozen=True, kw_only=True):
    """The source cannot turn the name into an address."""

    reason: NameReason = ""
    name: str
    resolver: Literal["none", "embedded", "upstream"]  # who is asked; "none": no resolver at all
    result: str  # nxdomain, servfail, timeout, refused, …; "" where only predicted
    servers: tuple[str, ...] = ()
    meant: Container | None = None  # the container that the name most likely means
    refused_by: str = ""  # the record for want of which libc gives no address, though there is one
    stopped: str = ""  # the name with a search domain over which libc gave up


class NameMisleads(Obstacle, frozen=True, kw_only=True):
    """The name resolves, to an address that is not (or no longer) the one meant."""

    name: str
    address: str
    by: Literal["hosts", "embedded", "upstream"]
    holder: Container | None = None  # who has that address now
    meant: Container | None = None


# network
class NoCommonNetwork(Obstacle, frozen=True, kw_only=True):
    source: Container
    target: Container


class NoNetwork(Obstacle, frozen=True, kw_only=True):
    """The container has no network: mode none, or its namespace lost its interfaces."""

    container: Container


class NamespaceLost(Obstacle, frozen=True, kw_only=True):
    """The container lives in the network namespace of another, which has since got a new one, stopped, or is gone."""

    container: Container
    owner: Container | None = None


class NoEgress(Obstacle, frozen=True, kw_only=True):
    """Only internal networks lead away from this container."""

    container: Container
    networks: tuple[Network, ...]


class NoAddressOfFamily(Obstacle, frozen=True, kw_only=True):
    container: Container
    network: Network | None
    family: Family


class AddressOfNobody(Obstacle, frozen=True, kw_only=True):
    """The address lies in a Docker subnet and no endpoint has it."""

    address: str
    network: Network


# publish
class NotPublished(Obstacle, frozen=True, kw_only=True):
    container: Container
    port: int
    protocol: Protocol
    exposed: bool = False
    other_protocol: bool = False  # published, but for the other protocol


BindingReason = Literal[
    "",  # not decided yet
    "missing",  # on addresses that this host has not got
    "routed",  # for IPv6 only: the network's gateway mode makes no port for IPv4
    "no-ipv4",  # for IPv6 only: the container's networks have no IPv4
    "loopback",  # on loopback, for this host alone
    "other",  # on another address of this host
]


class PublishedElsewhere(Obstacle, frozen=True, kw_only=True):
    """Published, on other host addresses than the one dialled."""

    reason: BindingReason = ""
    container: Container
    published: tuple[PublishedPort, ...]
    dialled: str  # address; "" for "any address of this host"


class PublishedInVain(Obstacle, frozen=True, kw_only=True):
    """PortBindings are there and the engine made nothing of them (host mode, internal network, macvlan, routed…)."""

    container: Container
    port: int
    protocol: Protocol


class DirectlyDialled(Obstacle, frozen=True, kw_only=True):
    """Another machine dials the container's own address, and this host does not let it in."""

    container: Container
    address: str
    decision: Decision | None = None


class IsolatedFromHost(Obstacle, frozen=True, kw_only=True):
    """macvlan and ipvlan: the host and its own children do not talk."""

    container: Container
    network: Network


class Apart(Obstacle, frozen=True, kw_only=True):
    """The host or another machine dials into the network namespace of a rootless daemon, which has no way in but published
    ports. `container` is who is there, None for nobody."""

    container: Container | None
    address: str


# link
class LinkBroken(Obstacle, frozen=True, kw_only=True):
    where: str  # "host", or a container's name
    problem: Literal[
        "missing", "down", "no-carrier", "no-address", "no-arp", "arp-ignored", "detached", "blocked", "isolated",
        "misdirected", "unlearned", "unasked", "mtu",
    ]  # fmt: skip
    name: str  # of the interface
    network: Network | None = None
    container: Container | None = None  # whose endpoint it serves
    endpoint: Endpoint | None = None
    link: Link | None = None
    passed: int = 0  # bytes of the largest packet that came through, for "mtu"
    entry: ForwardingEntry | None = None  # of the bridge, that leads frames elsewhere, for "misdirected"


# route
class NoRoute(Obstacle, frozen=True, kw_only=True):
    where: str  # "host", or a container's name
    destination: str
    kind: str = "none"  # none, unreachable, blackhole, prohibit
    container: Container | None = None
    rule: RoutingRule | None = None  # the policy rule that says so


class RouteElsewhere(Obstacle, frozen=True, kw_only=True):
    """The kernel would send the packet (or its reply) another way than to the bridge it belongs to."""

    where: str
    destination: str
    expected: str
    taken: str
    because: str = ""  # the route or rule, as `ip route`/`ip rule` prints it
    rule: RoutingRule | None = None  # the policy rule that took it
    reply: bool = False
    network: Network | None = None
    container: Container | None = None


class SubnetOverlaps(Obstacle, frozen=True, kw_only=True):
    """A Docker subnet covers addresses that are other machines': the kernel takes one for the other."""

    address: str  # which goes astray
    network: Network
    link: str = ""  # where it would belong, or where the container's packet goes instead
    because: str = ""  # the route, as `ip route` prints it
    container: Container | None = None  # whose traffic goes astray
    reply: bool = False


class ForwardingOff(Obstacle, frozen=True, kw_only=True):
    sysctl: str
    value: str


class ReverseFiltered(Obstacle, frozen=True, kw_only=True):
    """Reverse-path filtering drops what arrives on this interface."""

    sysctl: str
    interface: str
    source: str
    answered_by: str = ""  # the interface by which `source` would be answered; "" for none
    reply: bool = False  # it is the answer that arrives there
    container: Container | None = None  # in whose namespace; None: on the host


class NextHopSilent(Obstacle, frozen=True, kw_only=True):
    """The router or machine that this host sends it to tells no MAC address: the neighbour entry failed or waits."""

    address: str
    link: str
    entry: str = "failed"
    reply: bool = False  # it is the answer that is sent there


class StaleNeighbour(Obstacle, frozen=True, kw_only=True):
    where: str
    address: str
    known: str  # MAC in the table
    actual: str
    link: str
    container: Container | None = None


# filter
RuleReason = Literal[
    "",  # not decided yet
    "inside",  # a rule in a container's own namespace
    "icc",  # Docker's, since members of the network shall not talk
    "docker",  # Docker's own separation of networks
    "mixed",  # a rule of the iptables backend that Docker does not write to
    "disabled",  # FORWARD's policy, with a daemon that writes no rules
    "left-behind",  # iptables' FORWARD policy, beside a daemon that writes nftables (29)
    # FORWARD's policy or Docker's last rule, since the rule that would have let it in is gone; or another's rule that the
    # packet meets for want of Docker's
    "missing",
    "foreign",  # somebody else's
]


class Dropped(Obstacle, frozen=True, kw_only=True):
    """A rule or policy drops or rejects the packet."""

    reason: RuleReason = ""
    where: str  # "host", or the name of the container whose sandbox holds the rule
    decision: Decision
    direction: Literal["request", "reply"] = "request"
    packet: str = ""  # for people: "tcp 10.0.0.9 → 172.17.0.2:80, eth1 → docker0"
    network: Network | None = None
    counted: int = 0  # packets by which the rule's own counter moved while probing
    admitted: tuple[str, ...] = ()  # of other machines: the sources that rules name whose packets pass


class PolicyBlocks(Obstacle, frozen=True, kw_only=True):
    """An IPsec policy of this host blocks the packet, or its answer (`reply`)."""

    policy: IpsecPolicy
    text: str  # what it selects, as `ip xfrm policy` writes it
    reply: bool = False


class TrackingFull(Obstacle, frozen=True, kw_only=True):
    """The connection tracking table holds all that it may: the packet of a new connection is dropped."""

    tracked: int


class NoMasquerade(Obstacle, frozen=True, kw_only=True):
    """What leaves this host does so by an address that no answer comes back to."""

    container: Container
    network: Network
    source: str  # the address
    decision: Decision | None = None  # of a rule that is not Docker's and took the packet first


class HostsApart(Obstacle, frozen=True, kw_only=True):
    """What two hosts of one overlay network send each other does not arrive.

    `decision` is that of a rule on the host `where`; without one, `where` is not at the address that it told the others, or,
    not `told`, is the near host, which does not know of the far one's container.
    """

    network: Network
    far: str  # the other host's name
    address: str  # by which the cluster knows it; "" for none
    port: int
    protocol: Protocol
    where: str
    decision: Decision | None = None
    told: bool = True


# mapping
class NotTranslated(Obstacle, frozen=True, kw_only=True):
    """A published port has neither a DNAT rule nor a docker-proxy that would take this packet."""

    container: Container
    published: PublishedPort
    dnat: bool  # the rule is there
    held: bool = False  # dockerd holds the port: a connection may open, and nobody takes it
    hint: Literal["", "route-localnet", "hairpin", "bridge-netfilter", "proxy-dead", "proxy-off", "rules-gone"] = ""
    proxy: Process | None = None  # docker-proxy, which holds the port and does not run


class TranslatedElsewhere(Obstacle, frozen=True, kw_only=True):
    decision: Decision
    address: str
    port: int
    container: Container | None = None  # who was meant
    holder: Container | None = None  # who gets it
    left_behind: bool = False  # by Docker, for an address that the container had once
    inside: Container | None = None  # in whose namespace the rule stands; None: on the host


class StaleFlow(Obstacle, frozen=True, kw_only=True):
    """Connection tracking leads a UDP flow to where the container was, or past the DNAT: nat is asked once per flow."""

    container: Container
    published: PublishedPort
    entry: ConntrackEntry


# listener
PortReason = Literal[
    "",  # not decided yet
    "on-host",  # a port of the host's own, of no container
    "mesh",  # a port of Swarm's routing mesh, which this kernel cannot balance
    "for-neighbour",  # the source's own loopback, where another container or the host was meant
    "stale-address",  # a written address that was another container's
    "ending",  # the container ends again and again
    "came-up",  # the service came up after its sockets were read: it answered since
    "loopback",  # the service listens on loopback only
    "ipv4-only",  # dialled by IPv6, and the service listens on 0.0.0.0
    "other-address",  # the service listens on another address of the container
    "other-protocol",  # the port has a listener of the other protocol
    "host-mode",  # a host port asked for with `-p`, which mode host ignores
    "swapped",  # host and container port the wrong way round
    "other-port",  # the container listens on other ports
    "unused",  # it listens on other ports, all of them published: this mapping is one too many, or its service is down
    "nothing",  # the container listens on nothing that can be reached
]


class NothingListens(Obstacle, frozen=True, kw_only=True):
    reason: PortReason = ""
    container: Container | None  # None: the host
    address: str
    port: int
    protocol: Protocol
    elsewhere: tuple[Listener, ...] = ()  # same port, other address (or family)
    others: tuple[Listener, ...] = ()  # other ports
    published: PublishedPort | None = None  # the mapping that led here


# answer
class AnsweredByAnother(Obstacle, frozen=True, kw_only=True):
    """A datagram is answered from another address than it was sent to, and whoever sent it throws the answer away."""

    container: Container  # whose port docker-proxy serves
    asked: str
    source: str  # of the answer


class NoAnswer(Obstacle, frozen=True, kw_only=True):
    """All was predicted to be in order, and the probe says otherwise (or the destination is not ours to explain)."""

    answer: Answer
    beyond: bool = False  # the packet left this host in order


class Hop(Struct, frozen=True, kw_only=True):
    hop: str
    status: HopStatus
    predicted: str = ""
    observed: str = ""
    obstacle: Obstacle | None = None
    unseen: frozenset[str] = frozenset()  # areas that it rests on and that could not be seen


class Destination(Struct, frozen=True, kw_only=True):
    name: str
    address: str | None = None
    family: Family | None = None
    port: int | None = None
    protocol: Protocol = "tcp"


class Samples(Struct, frozen=True, kw_only=True):
    """What the repetitions of a question came to."""

    sent: int
    answered: int
    latency_ms: tuple[float, ...] = ()
    addresses: dict[str, tuple[int, int]] = {}  # address → (sent, answered)


class Clients(Struct, frozen=True, kw_only=True):
    """Other machines that this host tells apart by where they are: they come in by one interface."""

    interface: str
    via: str  # the router that they are behind; "" for those on the wire
    prefixes: tuple[str, ...]
    family: Family

    def __str__(self) -> str:
        if all(prefix.endswith("/0") for prefix in self.prefixes):
            return f"clients behind {self.via or 'the default route'} on {self.interface}"
        some = ", ".join(self.prefixes[:3]) + (f" and {len(self.prefixes) - 3} more" if len(self.prefixes) > 3 else "")
        return f"clients {'behind' if self.via else 'in'} {some} on {self.interface}"


class Path(Struct, frozen=True, kw_only=True):
    """One way from source to destination: one address, one port."""

    question: Question
    host: str  # on which it was walked; of one that crosses to another host, where it ends or is broken
    source: Container | None = None
    source_host: str = ""  # where the source is, when that is another host
    target: Container | None = None
    asker: str = ""  # the source in a sentence: a container's name, "this host" or its name, or "other machines"
    target_host: str = ""  # where the target lives, when that is not the host of the source
    destination: Destination
    container_port: int | None = None  # where the packet ends, after translation
    published: PublishedPort | None = None
    proxied: bool = False  # docker-proxy takes it, and makes a connection of its own
    endpoint: Endpoint | None = None  # the target's endpoint that is dialled
    network: Network | None = None
    hops: tuple[Hop, ...]
    verdict: Verdict
    basis: Basis = "predicted"
    samples: Samples | None = None
    probes: tuple[Probe, ...] = ()
    answers: tuple[Answer, ...] = ()
    contradiction: Hop | None = None  # what was predicted to stand in the way, where the path answered all the same
    undecided: Decision | None = None  # what may stop it, where nothing else does and no snapshot tells whether it will
    large: Decision | None = None  # what stops packets of full size on a path that can be reached
    clients: tuple[Clients, ...] = ()  # of `outside`: who meets these hops
    unlisted: int = 0  # more of them that are not listed
    note: str = ""  # "8080 is only a published host port: taken as that"

    @property
    def broken(self) -> Hop | None:
        """The first broken hop."""
        return next((hop for hop in self.hops if hop.status == "broken"), None)

    @property
    def obstacle(self) -> Obstacle | None:
        hop = self.broken
        return hop.obstacle if hop else None
