"""Everything that is known about one Docker host: immutable, serialisable, free of secrets.

Collectors (`engine`, `host`, `sandbox`, `firewall`, `daemon`, `cluster_store`) fill these records; `bundle` saves and
loads them; `diagnosis` only reads them. A value that could not be read is None (or an empty tuple) *and* has a
`BlindSpot`: "not there" and "not seen" are never the same thing.

Addresses are text as `ipaddress` prints them; times are RFC 3339 as the engine gives them; ports are ints. A record is not
made of anything else (ValueError, see `values`), whoever said it: kernel, API, store or bundle.
"""

# No annotations from __future__: as texts, msgspec would have to compile each of them, in three times the time.
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from dockernet_doctor.snapshot.values import (
    ensure_address,
    ensure_file_name,
    ensure_file_of_nft,
    ensure_host_port,
    ensure_mac,
    ensure_moment,
    ensure_network,
    ensure_prefix,
    ensure_range,
    ensure_run_option,
)

BUNDLE_SCHEMA = "dockernet-doctor/bundle/1"

Protocol = Literal["tcp", "udp", "sctp"]
Family = Literal[4, 6]
ProcessId = Annotated[int, Meta(ge=1)]  # to kill(1), 0 and negative numbers are groups of processes
Port = Annotated[int, Meta(ge=0, le=65535)]
PrefixLength = Annotated[int, Meta(ge=0, le=128)]


ACCEPT_LABEL = "dockernet-doctor.accept"
"""The label of a container or network that lists causes, separated by commas, whose findings on it are accepted."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every record in a snapshot."""


# --- the network stack of a namespace -------------------------------------------------------------------------------


class Link(Record, frozen=True, kw_only=True):
    """A network interface (rtnetlink RTM_NEWLINK)."""

    index: int
    name: str
    kind: str = ""  # IFLA_INFO_KIND: bridge, veth, vxlan, macvlan, ipvlan, …; "" for hardware and lo
    up: bool = True  # IFF_UP: administratively up
    carrier: bool = True  # IFF_LOWER_UP
    mtu: int = 1500
    mac: str = ""
    master: str | None = None  # name of the bridge that it is a port of
    peer_index: int | None = None  # IFLA_LINK: a veth's other end, a macvlan's parent
    hairpin: bool | None = None  # brport/hairpin_mode, for bridge ports
    isolated: bool | None = None  # brport/isolated
    blocked: bool | None = None  # brport/state is neither forwarding nor on the way there
    learning: bool = True  # brport/learning, and the next two likewise: of links that are no bridge ports they say nothing
    flooded: bool = True  # brport/unicast_flood: frames for addresses that the bridge does not know go out here, too
    broadcasts: bool = True  # brport/broadcast_flood: so do ARP requests
    arp: bool = True  # not IFF_NOARP
    vxlan_id: int | None = None
    vxlan_port: Port | None = None

    def __post_init__(self) -> None:
        ensure_mac("mac", self.mac)


class Address(Record, frozen=True, kw_only=True):
    link: str
    address: str
    prefix: PrefixLength
    family: Family
    scope: str = "global"  # global, link, host

    def __post_init__(self) -> None:
        ensure_address("address", self.address, self.family, needed=True)
        ensure_prefix("prefix", self.address, self.prefix)


class Route(Record, frozen=True, kw_only=True):
    family: Family
    destination: str  # "0.0.0.0/0" for a default route
    link: str | None = None
    gateway: str | None = None
    source: str | None = None  # RTA_PREFSRC
    table: int = 254
    metric: int = 0
    kind: str = "unicast"  # unicast, local, broadcast, blackhole, unreachable, prohibit, throw

    def __post_init__(self) -> None:
        ensure_network("destination", self.destination, self.family, needed=True)
        ensure_address("gateway", self.gateway)
        ensure_address("source", self.source)


class RoutingRule(Record, frozen=True, kw_only=True):
    """One line of `ip rule`."""

    family: Family
    priority: int
    table: int
    source: str | None = None
    destination: str | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    mark: int | None = None
    mark_mask: int | None = None
    action: str = "lookup"  # lookup, blackhole, unreachable, prohibit
    inverted: bool = False
    suppress_prefix_length: PrefixLength | None = None
    selectors: tuple[str, ...] = ()  # further conditions, as `ip rule` names them: "uidrange 0-0", "dport 53", "ipproto 6"

    def __post_init__(self) -> None:
        ensure_network("source", self.source, self.family)
        ensure_network("destination", self.destination, self.family)
        for selector in self.selectors:
            name, _, value = selector.partition(" ")
            if name in ("dport", "sport"):
                ensure_range("selectors", value)


class Neighbour(Record, frozen=True, kw_only=True):
    """One line of `ip neigh`."""

    family: Family
    link: str
    address: str
    mac: str | None = None
    state: str = ""  # reachable, stale, failed, incomplete, permanent, noarp, …
    age: int = 0  # of one that failed, or is incomplete: seconds since the kernel set out to ask, or gave up

    def __post_init__(self) -> None:
        ensure_address("address", self.address, self.family, needed=True)
        ensure_mac("mac", self.mac)


class ForwardingEntry(Record, frozen=True, kw_only=True):
    """One line of `bridge fdb` that somebody set, or, for a port that learns nothing, that is left."""

    bridge: str
    port: str  # the bridge's own name: the frames end there
    mac: str
    state: Literal["static", "permanent", "learned"]  # permanent: the host's own, whichever port it stands at

    def __post_init__(self) -> None:
        ensure_mac("mac", self.mac)


class IpsecPolicy(Record, frozen=True, kw_only=True):
    """One entry of `ip xfrm policy`, of those that are not for single sockets."""

    family: Family
    direction: Literal["in", "out", "fwd"]
    source: str
    destination: str
    protocol: int = 0  # 0: any
    sport: Port = 0  # with its mask; 0/0: any
    sport_mask: Port = 0
    dport: Port = 0
    dport_mask: Port = 0
    link: str | None = None
    mark: int = 0
    mark_mask: int = 0
    priority: int = 0  # the lowest counts
    blocks: bool = False
    transforms: bool = False  # what matches is, or has to be, protected by IPsec

    def __post_init__(self) -> None:
        ensure_network("source", self.source, self.family, needed=True)
        ensure_network("destination", self.destination, self.family, needed=True)


class Process(Record, frozen=True, kw_only=True):
    pid: ProcessId
    name: str  # comm
    container: str | None = None  # id of the container whose cgroup holds it
    halted: str = ""  # stopped (by SIGSTOP), or frozen (with its cgroup); "" runs
    of_daemon: bool | None = None  # of one named like a part of Docker: whether its user is the daemon's. None: not looked at


class Listener(Record, frozen=True, kw_only=True):
    """A socket that takes connections (TCP LISTEN) or datagrams (UDP unconnected)."""

    protocol: Protocol
    family: Family
    address: str  # "0.0.0.0", "::", "127.0.0.1", …
    port: Port
    v6only: bool = False  # meaningful for "::" only: such a socket takes no IPv4
    inode: int = 0
    waiting: int = 0  # TCP connections that the kernel took and the program has not: `Recv-Q` of ss
    process: Process | None = None  # resolved only where a binding or a daemon's port touches it

    def __post_init__(self) -> None:
        ensure_address("address", self.address)


class FirewallDump(Record, frozen=True, kw_only=True):
    """What one tool printed about the rules of one namespace, verbatim."""

    tool: Literal["iptables-nft", "iptables-legacy", "nft", "ipset"]
    family: Family | None  # None for nft and ipset, which hold both
    text: str


class NetworkStack(Record, frozen=True, kw_only=True):
    """The network of one namespace: the host's own, or a container's sandbox."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[RoutingRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    forwarding: tuple[ForwardingEntry, ...] = ()  # of the host only, as the next
    ipsec: tuple[IpsecPolicy, ...] = ()  # in the kernel's order
    listeners: tuple[Listener, ...] | None = None  # None: could not be read
    sysctls: dict[str, str] = {}  # full name with dots, "net.ipv4.ip_forward" → "1"
    firewall: tuple[FirewallDump, ...] | None = None  # None: could not be read


# --- containers and networks ----------------------------------------------------------------------------------------


class ResolvConf(Record, frozen=True, kw_only=True):
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ext_servers: tuple[str, ...] = ()  # from Docker's comment "# ExtServers: [host(127.0.0.53) 10.0.0.2]"
    comments: tuple[str, ...] = ()  # Docker's own comments, which say where the servers came from
    exists: bool = True  # False: missing, or a link to nowhere


class HostsEntry(Record, frozen=True, kw_only=True):
    address: str
    names: tuple[str, ...]


class Sandbox(Record, frozen=True, kw_only=True):
    """The inside of a container, read from outside through /proc/PID."""

    pid: int
    namespace: int  # inode of the network namespace: equal for containers that share one
    stack: NetworkStack
    resolv_conf: ResolvConf | None = None
    hosts: tuple[HostsEntry, ...] | None = None
    libc: str = ""  # musl, where its loader is there; go, where the program resolves names by Go alone; "" for any other
    halted: str = ""  # its first process: stopped (by SIGSTOP), or frozen (with its cgroup); "" runs


class Health(Record, frozen=True, kw_only=True):
    status: str  # starting, healthy, unhealthy
    failing_streak: int = 0
    last_output: str = ""  # of the last failed probe, secrets removed, first 400 characters
    test: tuple[str, ...] = ()


class State(Record, frozen=True, kw_only=True):
    status: str  # created, running, paused, restarting, removing, exited, dead
    running: bool = False
    paused: bool = False
    restarting: bool = False
    oom_killed: bool = False
    exit_code: int = 0
    error: str = ""
    pid: int = 0
    started_at: str = ""
    finished_at: str = ""
    restart_count: int = 0
    health: Health | None = None

    def __post_init__(self) -> None:
        ensure_moment("started_at", self.started_at)
        ensure_moment("finished_at", self.finished_at)

    @property
    def refusal(self) -> str:
        """The engine's error in short: without its preamble, which names the container again, and with ids of 12 digits."""
        said = re.sub(
            r"^(failed to set up container networking: )?(driver failed [a-z ]+ on endpoint \S+ \([0-9a-f]+\): )?",
            "",
            self.error,
        )
        return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", said)


class PortBinding(Record, frozen=True, kw_only=True):
    """What was asked for: an entry of HostConfig.PortBindings."""

    port: Port
    protocol: Protocol
    host_ip: str = ""
    host_port: str = ""  # "", "8080" or "8000-8010"

    def __post_init__(self) -> None:
        ensure_address("host_ip", self.host_ip)
        ensure_host_port("host_port", self.host_port)


class PublishedPort(Record, frozen=True, kw_only=True):
    """What is in force: an entry of NetworkSettings.Ports that has a host side."""

    port: Port
    protocol: Protocol
    host_ip: str
    host_port: Port

    def __post_init__(self) -> None:
        ensure_address("host_ip", self.host_ip)


class ContainerLink(Record, frozen=True, kw_only=True):
    """--link TARGET:ALIAS"""

    target: str
    alias: str


class Endpoint(Record, frozen=True, kw_only=True):
    """A container's attachment to a network (NetworkSettings.Networks)."""

    network: str
    network_id: str = ""
    endpoint_id: str = ""
    ipv4: str | None = None
    ipv4_prefix: PrefixLength = 0
    ipv4_gateway: str | None = None
    ipv6: str | None = None
    ipv6_prefix: PrefixLength = 0
    ipv6_gateway: str | None = None
    mac: str = ""
    aliases: tuple[str, ...] = ()
    dns_names: tuple[str, ...] | None = None  # None: this engine does not say (before 25)
    links: tuple[ContainerLink, ...] = ()
    requested_ipv4: str | None = None  # --ip
    requested_ipv6: str | None = None
    link_local: tuple[str, ...] = ()  # --link-local-ip
    gateway_priority: int = 0  # --gw-priority, from 28
    driver_options: dict[str, str] = {}  # --driver-opt

    def __post_init__(self) -> None:
        for field, address in (
            ("ipv4", self.ipv4),
            ("ipv4_gateway", self.ipv4_gateway),
            ("requested_ipv4", self.requested_ipv4),
        ):
            ensure_address(field, address, 4)
        for field, address in (
            ("ipv6", self.ipv6),
            ("ipv6_gateway", self.ipv6_gateway),
            ("requested_ipv6", self.requested_ipv6),
        ):
            ensure_address(field, address, 6)
        ensure_prefix("ipv4_prefix", self.ipv4, self.ipv4_prefix)
        ensure_prefix("ipv6_prefix", self.ipv6, self.ipv6_prefix)
        ensure_mac("mac", self.mac)


class Reference(Record, frozen=True, kw_only=True):
    """What is left of a setting once its secrets are gone: where it stands and where it points."""

    where: str  # environment, command, label, health check
    key: str  # DATABASE_URL, --upstream, traefik.http.services.api.loadbalancer.server.port
    scheme: str = ""  # postgres, http, …; "" where none is written
    host: str = ""  # name or address; "" for a bare port
    port: Port | None = None  # as written, else the scheme's own
    direct: bool = False  # the client is told to stay with this one, whatever else it hands out (directConnection=true)


class HandedOut(Record, frozen=True, kw_only=True):
    """What a service tells its clients to dial next."""

    where: str  # environment, command, health check
    key: str  # KAFKA_ADVERTISED_LISTENERS, --cluster-announce-ip, rs.initiate
    host: str  # name or address
    port: Port | None = None  # None: that by which the client came
    of: Port | None = None  # the port of the service whose clients are told; None: that is not known, or all


class Compose(Record, frozen=True, kw_only=True):
    project: str
    service: str
    number: str = "1"
    version: str = ""  # 1.x is docker-compose, a program of its own
    working_dir: str = ""
    config_files: tuple[str, ...] = ()  # with their directory, which 1.x leaves out of the label
    depends_on: tuple[str, ...] = ()  # "db:service_healthy:false" as the label says


class SwarmTask(Record, frozen=True, kw_only=True):
    service: str
    service_id: str = ""
    task: str = ""
    node_id: str = ""


class RunOption(Record, frozen=True, kw_only=True):
    """An option of `docker create` by its long name, see `run_options`.

    Three are no options: `image`; `command`, the arguments; `seccomp`, a profile. The value of `env` is a variable's name. That
    of an option without one is "", and MASK where it may be a secret and must come from the container itself.
    """

    name: str
    value: str = ""

    def __post_init__(self) -> None:
        ensure_run_option(self.name, self.value)


class Container(Record, frozen=True, kw_only=True):
    id: str
    name: str  # without the leading slash; never a link's alias
    image: str = ""
    image_id: str = ""
    created: str = ""
    state: State
    hostname: str = ""
    domainname: str = ""
    network_mode: str = "default"  # default, bridge, host, none, container:ID, NETWORK
    endpoints: tuple[Endpoint, ...] = ()
    bindings: tuple[PortBinding, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    exposed: tuple[tuple[Port, Protocol], ...] = ()
    publish_all: bool = False
    links: tuple[ContainerLink, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    mounts: tuple[str, ...] = ()  # destinations that matter: /etc/resolv.conf, /etc/hosts, the daemon's socket
    options: tuple[RunOption, ...] | None = None  # None: not known, as in a bundle of an older version
    references: tuple[Reference, ...] = ()
    hands_out: tuple[HandedOut, ...] = ()  # what its clients are told to dial next
    restart_policy: str = "no"
    auto_remove: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    compose: Compose | None = None
    swarm: SwarmTask | None = None
    sandbox: Sandbox | None = None  # None: not running, or not readable (then a blind spot says so)
    log_tail: tuple[str, ...] = ()  # secrets removed; only where it ended, restarts or is unhealthy
    accepts: tuple[str, ...] = ()  # causes that its ACCEPT_LABEL names

    def __post_init__(self) -> None:
        ensure_moment("created", self.created)

    def __str__(self) -> str:
        """What people call it in a sentence: its name; of a Swarm task what `docker service ps` lists, `web.1` for web.1.TASK,
        and `web` for web.NODE.TASK of a global service, of which each host has one."""
        return re.sub(r"(\.[a-z0-9]{25}){1,2}$", "", self.name) if self.swarm else self.name

    @property
    def frozen(self) -> bool:
        """Paused, or frozen behind Docker's back: nothing in it runs."""
        return self.state.paused or (self.sandbox is not None and self.sandbox.halted == "frozen")


class Subnet(Record, frozen=True, kw_only=True):
    subnet: str
    gateway: str | None = None
    ip_range: str | None = None
    auxiliary: dict[str, str] = {}

    def __post_init__(self) -> None:
        ensure_network("subnet", self.subnet)
        ensure_address("gateway", self.gateway)
        ensure_network("ip_range", self.ip_range)


class Member(Record, frozen=True, kw_only=True):
    """An entry of a network's Containers: on an overlay also those of other hosts (`ep-…`, `lb-…`)."""

    container_id: str  # "ep-…" for one that this daemon does not run
    name: str
    endpoint_id: str = ""
    ipv4: str | None = None
    ipv6: str | None = None
    mac: str = ""

    def __post_init__(self) -> None:
        ensure_address("ipv4", self.ipv4, 4)
        ensure_address("ipv6", self.ipv6, 6)
        ensure_mac("mac", self.mac)


class Network(Record, frozen=True, kw_only=True):
    id: str
    name: str
    driver: str
    scope: str = "local"  # local, global, swarm
    internal: bool = False
    ipv6: bool = False
    ipv4: bool = True  # False: made with --ipv4=false (from 28)
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    options: dict[str, str] = {}
    subnets: tuple[Subnet, ...] = ()
    members: tuple[Member, ...] = ()
    peers: tuple[tuple[str, str], ...] = ()  # (node name, address) of a Swarm overlay
    compose_project: str = ""
    compose_network: str = ""
    has_labels: bool | None = None  # None: not known, as in a bundle of an older version
    created: str = ""
    bridge: str | None = None  # the Linux bridge: option com.docker.network.bridge.name, docker0, or br-<12 digits>
    accepts: tuple[str, ...] = ()  # causes that its ACCEPT_LABEL names

    @property
    def has_dns(self) -> bool:
        """True if members are served by the embedded DNS: every network but `bridge` (Podman's `podman`), `host` and `none`."""
        default = self.name == "bridge" or (self.name, self.bridge) == ("podman", "podman0")
        return not default and self.driver not in ("host", "null")

    def __post_init__(self) -> None:
        ensure_moment("created", self.created)
        for _, peer in self.peers:
            ensure_address("peers", peer)


class Service(Record, frozen=True, kw_only=True):
    """A Swarm service as a manager lists it."""

    id: str
    name: str
    mode: str = "replicated"
    endpoint_mode: str = "vip"  # vip, dnsrr
    virtual_ips: dict[str, str] = {}  # network id → address
    ports: tuple[tuple[Port, Port, Protocol, str], ...] = ()  # (published, target, protocol, ingress|host)
    networks: tuple[str, ...] = ()  # ids
    references: tuple[Reference, ...] = ()
    desired: int | None = None  # tasks that should run; None where the manager does not count them (API < 1.41)
    running: int | None = None
    errors: tuple[str, ...] = ()  # why the missing ones do not run, the last of each task

    def __post_init__(self) -> None:
        for address in self.virtual_ips.values():
            ensure_address("virtual_ips", address)


# --- the daemon -----------------------------------------------------------------------------------------------------


class SwarmNode(Record, frozen=True, kw_only=True):
    id: str
    hostname: str
    address: str
    role: str
    state: str  # ready, down, unknown, disconnected
    availability: str = "active"
    manager_address: str = ""
    reachability: str = ""
    leader: bool = False

    def __post_init__(self) -> None:
        ensure_address("address", self.address)


class Swarm(Record, frozen=True, kw_only=True):
    state: str = "inactive"  # inactive, pending, active, error, locked
    node_id: str = ""
    node_address: str = ""
    manager: bool = False
    error: str = ""
    managers: int = 0
    nodes: int = 0
    remote_managers: tuple[tuple[str, str], ...] = ()  # (node id, address:port)
    data_path_port: Port = 4789
    node_list: tuple[SwarmNode, ...] = ()  # only a manager knows

    def __post_init__(self) -> None:
        for _, manager in self.remote_managers:
            ensure_address("remote_managers", manager.rpartition(":")[0].strip("[]"))


_VIRTUAL_MACHINES = ("Docker Desktop", "OrbStack", "Rancher Desktop", "Colima", "Boot2Docker", "Podman machine")


class Engine(Record, frozen=True, kw_only=True):
    """GET /version and /info, reduced to what bears on networking."""

    version: str
    product: str = ""  # podman, where its API says so; "" is Docker
    api_version: str = ""
    min_api_version: str = ""
    os: str = ""
    arch: str = ""
    kernel: str = ""
    name: str = ""  # hostname, as the daemon sees it
    id: str = ""
    operating_system: str = ""
    root_dir: str = ""
    ipv4_forwarding: bool = True
    bridge_nf_iptables: bool = True
    bridge_nf_ip6tables: bool = True
    cluster_store: str = ""
    cluster_advertise: str = ""
    swarm: Swarm = Swarm()
    security_options: tuple[str, ...] = ()
    rootless: bool = False
    live_restore: bool = False
    firewall_backend: str = ""  # iptables, iptables+firewalld, nftables
    default_address_pools: tuple[tuple[str, PrefixLength], ...] = ()  # (base, size)
    warnings: tuple[str, ...] = ()
    proxies: tuple[Reference, ...] = ()
    containers_running: int = 0

    def __post_init__(self) -> None:
        for base, size in self.default_address_pools:
            ensure_network("default_address_pools", base)
            ensure_prefix("default_address_pools", base, size)

    @property
    def podman(self) -> bool:
        """True for Podman's Docker-compatible API, which older bundles show by where it keeps its storage."""
        return self.product == "podman" or self.root_dir.endswith("/containers/storage")

    @property
    def virtual_machine(self) -> str:
        """The product in whose virtual machine the daemon runs, "Docker Desktop" or "WSL 2"; "" on any other host.

        Products name the machine or its system after themselves; on Windows the kernel is Microsoft's.
        """
        names = f"{self.operating_system} {self.name}".lower().replace("-", " ")
        product = next((product for product in _VIRTUAL_MACHINES if product.lower() in names), "")
        return product or ("WSL 2" if self.on_windows else "")

    @property
    def on_windows(self) -> bool:
        return "microsoft" in self.kernel.lower()

    @property
    def generation(self) -> tuple[int, int]:
        """Major and minor version, (20, 10) for "20.10.24+dfsg1"; (0, 0) where it cannot be read."""
        numbers = self.version.split("-")[0].split("+")[0].split(".")
        try:
            return int(numbers[0]), int(numbers[1])
        except (IndexError, ValueError):
            return 0, 0


class EngineProblem(Record, frozen=True, kw_only=True):
    """Why the daemon's API gave no answer."""

    kind: Literal["no-socket", "refused", "permission", "timeout", "unreachable", "tls", "protocol", "http", "usage"]
    detail: str


class TextFile(Record, frozen=True, kw_only=True):
    """A file of the daemon's configuration or of Compose, secrets removed from the text."""

    path: str
    kind: Literal["daemon.json", "unit", "drop-in", "socket", "environment", "defaults", "sysctl", "resolv.conf", "compose"]
    text: str = ""
    exists: bool = True
    readable: bool = True
    final_newline: bool = True
    modified_at: str = ""

    def __post_init__(self) -> None:
        ensure_moment("modified_at", self.modified_at)


class LogLine(Record, frozen=True, kw_only=True):
    text: str  # the message, secrets removed
    time: str = ""
    level: str = ""
    repeated: int = 1

    def __post_init__(self) -> None:
        ensure_moment("time", self.time)


class Daemon(Record, frozen=True, kw_only=True):
    """The daemon as this host's files, processes and log show it; works when the API does not."""

    pid: int | None = None
    started_at: str = ""
    arguments: tuple[str, ...] = ()  # /proc/PID/cmdline, secrets removed
    executable: str = ""
    files: tuple[TextFile, ...] = ()
    log: tuple[LogLine, ...] = ()  # the end of it: lines about networking, warnings and errors
    log_source: str = ""
    service_state: str = ""  # of systemd: active, failed, inactive, activating; "" where there is none
    readable: bool = False  # whether this process may look at the daemon's files and process at all
    pid_file: int | None = None  # what /var/run/docker.pid says
    pid_file_process: str = ""  # name of the process that has that pid now
    socket_group: str = ""
    proxies: tuple[str, ...] = ()  # each docker-proxy on the daemon's PATH: unless an option names one, it runs the first
    engine_sockets: tuple[str, ...] = ()  # one of each engine in this network namespace that is not rootless

    def __post_init__(self) -> None:
        ensure_moment("started_at", self.started_at)


class ClientContext(Record, frozen=True, kw_only=True):
    name: str
    endpoint: str
    current: bool = False


class OtherDaemon(Record, frozen=True, kw_only=True):
    """Another daemon that this user can reach, and what it runs."""

    endpoint: str
    origin: str  # "context NAME", "the local socket"
    containers: tuple[str, ...] = ()


class Client(Record, frozen=True, kw_only=True):
    """How the caller chose the daemon."""

    environment: dict[str, str] = {}  # DOCKER_HOST, DOCKER_CONTEXT, DOCKER_MACHINE_NAME, …
    contexts: tuple[ClientContext, ...] = ()
    chosen_by: str = "default"  # default, --host, --context, DOCKER_HOST, DOCKER_CONTEXT, current context, DOCKER_TLS…
    others: tuple[OtherDaemon, ...] = ()


class StoreNode(Record, frozen=True, kw_only=True):
    """One address of the cluster store, and what answered there."""

    address: str
    port: Port
    connect: str  # an Answer word: open, refused, timeout, unreachable-host, …
    kind: str = ""  # etcd, consul, zookeeper, "" unknown
    version: str = ""
    healthy: bool | None = None
    detail: str = ""
    etcd_v2: bool | None = None
    members: tuple[str, ...] | None = None


class StoreEndpoint(Record, frozen=True, kw_only=True):
    network_id: str
    endpoint_id: str
    name: str = ""
    address: str = ""
    host: str = ""  # locator of the host that made it


class ClusterStore(Record, frozen=True, kw_only=True):
    url: str
    scheme: str = ""
    nodes: tuple[StoreNode, ...] = ()
    networks: tuple[tuple[str, str], ...] | None = None  # (id, name) as the store holds them
    endpoints: tuple[StoreEndpoint, ...] | None = None
    hosts: tuple[str, ...] | None = None  # advertised addresses, from docker/nodes


# --- the host -------------------------------------------------------------------------------------------------------


class ConntrackEntry(Record, frozen=True, kw_only=True):
    """A flow of /proc/net/nf_conntrack or `conntrack -L`: original and reply tuple."""

    protocol: Protocol
    source: str
    destination: str
    sport: Port
    dport: Port
    reply_source: str
    reply_destination: str
    reply_sport: Port
    reply_dport: Port
    replied: bool
    timeout_s: int = 0

    def __post_init__(self) -> None:
        for field, address in (("source", self.source), ("destination", self.destination)):
            ensure_address(field, address)
        for field, address in (("reply_source", self.reply_source), ("reply_destination", self.reply_destination)):
            ensure_address(field, address)


class Conntrack(Record, frozen=True, kw_only=True):
    count: int
    maximum: int
    entries: tuple[ConntrackEntry, ...] | None = None  # UDP flows towards published ports only


class SysctlSetting(Record, frozen=True, kw_only=True):
    """A line of a sysctl.d file that sets a key which matters here."""

    file: str
    line: int
    key: str
    value: str


RuleFilePath = Literal[
    "/etc/ufw/before.rules",
    "/etc/ufw/after.rules",
    "/etc/ufw/before6.rules",
    "/etc/ufw/after6.rules",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
    "/etc/nftables.conf",
    "/etc/sysconfig/nftables.conf",
]
"""Where rules are kept. Fixes write there: a bundle may name no other."""


class RuleLine(Record, frozen=True, kw_only=True):
    """A rule in a file in the language of nft, with secrets removed."""

    file: str = ""
    number: int = 0  # of its line
    family: str
    table: str
    chain: str
    text: str = ""
    is_alone: bool = True  # nothing else stands on its line

    def __post_init__(self) -> None:
        ensure_file_of_nft("file", self.file)


class RuleFile(Record, frozen=True, kw_only=True):
    """A file from which this host's rules come again, at its next start or whenever their manager reloads."""

    path: RuleFilePath
    keeper: str  # ufw, nftables, netfilter-persistent, iptables, ip6tables: the service that loads it
    family: Family | None  # None: in the language of nft, which names the family of each table
    chains: tuple[tuple[str, str, str], ...] = ()  # family (ip, ip6, inet, …), table and chain that it makes
    rules: tuple[tuple[str, str], ...] = ()  # table and line of iptables-save, secrets removed; none of ufw's chains
    lines: tuple[RuleLine, ...] = ()  # in the language of nft: its rules and those of what it includes


class LinkKeeper(Record, frozen=True, kw_only=True):
    """Who manages a link of this host, and would set its routes and rules again."""

    link: str
    keeper: Literal["netplan", "networkd", "NetworkManager"]
    name: str = ""  # netplan: what the link is there; networkd: the file it goes by

    def __post_init__(self) -> None:
        ensure_file_name("name", self.name)


class Host(Record, frozen=True, kw_only=True):
    hostname: str = ""
    kernel: str = ""
    machine_id: str = ""
    stack: NetworkStack = NetworkStack()
    resolv_conf: ResolvConf | None = None
    resolv_conf_target: str = ""  # where /etc/resolv.conf links to
    upstream_resolv_conf: ResolvConf | None = None  # /run/systemd/resolve/resolv.conf
    conntrack: Conntrack | None = None
    sysctl_settings: tuple[SysctlSetting, ...] = ()
    modules_directory: bool | None = None  # /lib/modules/$(uname -r) exists
    kernel_log: tuple[str, ...] = ()  # lines about conntrack, neighbours and denials only
    programs: dict[str, str] = {}  # nmap, iptables, ip6tables, nft, conntrack, ufw, firewall-cmd → path, "" when absent
    active_firewalls: tuple[str, ...] = ()  # ufw, firewalld, csf: those that run or have rules here
    rule_files: tuple[RuleFile, ...] = ()  # those that are loaded at the next start
    link_keepers: tuple[LinkKeeper, ...] = ()
    lsm: str = ""  # selinux-enforcing, apparmor, ""
    advertised_links: tuple[str, ...] = ()  # where router advertisements came in, of the links that ignore them by now


AREAS = (
    "engine",
    "daemon.process",
    "daemon.files",
    "log",
    "host.network",  # links, addresses, routes, rules, neighbours, sysctls
    "host.sockets",  # what listens, and which process that is
    "host.conntrack",
    "host.resolver",
    "host.files",  # sysctl.d, modules, programs
    "host.log",  # the kernel's
    "firewall",  # the host's
    "sandbox.network",
    "sandbox.firewall",
    "sandbox.files",  # /etc/resolv.conf, /etc/hosts
    "store",
)
"""What a snapshot is read from, as blind spots and the needs of checks name it."""


BY_ROOT = "run as root"
"""The remedy of a blind spot that root's rights lift."""


class BlindSpot(Record, frozen=True, kw_only=True):
    area: str  # of AREAS, or the word before the dot for all of them; or probe, path, check, of what is no part of a snapshot
    what: str
    why: str
    remedy: str = ""
    containers: tuple[str, ...] = ()  # names of those that it is about; () for whatever the area holds
    gone: bool = False  # it vanished while it was read: nothing of it is left to be judged


class Snapshot(Record, frozen=True, kw_only=True):
    """One host, as seen at one time."""

    name: str  # unique in a report
    source: Literal["live", "bundle"] = "live"
    taken_at: str  # UTC, RFC 3339 with Z
    endpoint: str  # unix:///var/run/docker.sock
    local: bool = True  # the daemon runs on the machine that looked
    engine: Engine | None = None
    problem: EngineProblem | None = None  # set where engine is None
    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    services: tuple[Service, ...] = ()
    compose_files: tuple[TextFile, ...] = ()  # that containers were made from, on this machine
    host: Host | None = None  # None: remote, or unreadable
    daemon: Daemon = Daemon()
    client: Client = Client()
    store: ClusterStore | None = None
    blind_spots: tuple[BlindSpot, ...] = ()
    removed: tuple[str, ...] = ()  # what was taken out as secret: "environment of web: POSTGRES_PASSWORD"

    def __post_init__(self) -> None:
        ensure_moment("taken_at", self.taken_at)
