"""The host itself: its network stack, sysctls, resolver files, connection tracking, kernel log and programs."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from dockernet_doctor.decoding import as_text, is_number, read_text
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import netlink, rtnetlink, socket_owners
from dockernet_doctor.snapshot.conntrack import read_udp_flows
from dockernet_doctor.snapshot.firewall import FirewallReading
from dockernet_doctor.snapshot.link_keepers import read_link_keepers
from dockernet_doctor.snapshot.model import (
    BY_ROOT,
    BlindSpot,
    Conntrack,
    FirewallDump,
    Host,
    Listener,
    NetworkStack,
    Record,
    ResolvConf,
    SysctlSetting,
)
from dockernet_doctor.snapshot.programs import find_program
from dockernet_doctor.snapshot.resolv import parse_resolv_conf, parse_sysctl_conf
from dockernet_doctor.snapshot.rule_files import read_rule_files
from dockernet_doctor.snapshot.sandbox import read_sysctl, read_sysctls

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.default.forwarding",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.all.src_valid_mark",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.proxy_arp",
    "net.ipv4.icmp_echo_ignore_all",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.ipv6.bindv6only",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv6.conf.default.accept_ra",
    # absent (and then not in the dict) where br_netfilter is not loaded: bridged packets then see no iptables
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-arptables",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_udp_timeout",
    "kernel.dmesg_restrict",
)

PROGRAMS = (
    "nmap",
    "iptables",
    "ip6tables",
    "iptables-legacy",
    "iptables-nft",
    "nft",
    "ipset",
    "conntrack",
    "ip",
    "tcpdump",
    "ufw",
    "firewall-cmd",
    "systemctl",
    "netfilter-persistent",
    "csf",
    "docker",
    "docker-proxy",
)

LOG_LINES = 200
"""No more kernel lines than this are kept, the last ones."""


class HostReading(Record, frozen=True, kw_only=True):
    host: Host
    blind_spots: tuple[BlindSpot, ...] = ()


def read_host() -> HostReading:
    """The host as the calling thread's namespace and this process's root see it. Never raises.

    The firewall is not read here, nor what depends on the containers' ports: `with_firewall`, `with_ports`.
    """
    spots: list[BlindSpot] = []
    release = platform.release()
    target = _link_target("/etc/resolv.conf")
    stack = _stack(spots)
    ufw = ufw_enabled()
    host = Host(
        hostname=as_text(socket.gethostname()),
        kernel=release,
        machine_id=(read_text("/etc/machine-id") or "").strip(),
        stack=stack,
        resolv_conf=_resolv_conf("/etc/resolv.conf", spots),
        resolv_conf_target=target,
        upstream_resolv_conf=_upstream_resolv_conf(),
        conntrack=_conntrack(),
        sysctl_settings=read_sysctl_settings(ufw=ufw),
        modules_directory=Path(f"/lib/modules/{release}").is_dir(),
        kernel_log=_kernel_log(spots),
        programs={name: find_program(name) for name in PROGRAMS},
        active_firewalls=_active_firewalls(ufw=ufw),
        rule_files=read_rule_files(ufw=ufw),
        link_keepers=read_link_keepers(stack),
        lsm=_lsm(),
        advertised_links=advertised_links(stack),
    )
    return HostReading(host=host, blind_spots=tuple(spots))


def with_firewall(host: Host, reading: FirewallReading) -> Host:
    """The host with the dumps that `firewall.start_dumps` started."""
    active = host.active_firewalls if reading.dumps is None else _ruling_firewalls(reading.dumps)
    stack = msgspec.structs.replace(host.stack, firewall=reading.dumps)
    return msgspec.structs.replace(host, stack=stack, active_firewalls=active)


def with_ports(reading: HostReading, ports: Collection[int], published_udp: Collection[int] = (), user: int = 0) -> HostReading:
    """The host with the processes behind the listeners on `ports` (0: on all), and the tracked UDP flows to `published_udp`.

    `user`: whose daemon it is, 0 for root's. Never raises.
    """
    spots = list(reading.blind_spots)
    host = msgspec.structs.replace(
        reading.host,
        stack=_with_owners(reading.host.stack, ports, spots, user),
        conntrack=_with_flows(reading.host.conntrack, published_udp, spots),
    )
    return HostReading(host=host, blind_spots=tuple(spots))


def _with_owners(stack: NetworkStack, ports: Collection[int], spots: list[BlindSpot], user: int) -> NetworkStack:
    wanted = [x for x in stack.listeners or () if x.process is None and (x.port in ports or 0 in ports)]
    if not wanted:
        return stack
    owners = socket_owners.owners((listener.inode for listener in wanted), user)
    unknown = sorted({listener.port for listener in wanted if listener.inode and listener.inode not in owners})
    if unknown and not socket_owners.may_see_all_sockets():
        spots.append(
            BlindSpot(
                area="host.sockets",
                what=f"which process listens on port {', '.join(map(str, unknown))}",
                why="no right to look into the processes of other users",
                remedy=BY_ROOT,
            )
        )

    def owned(listener: Listener) -> Listener:
        process = owners.get(listener.inode)
        return listener if process is None else msgspec.structs.replace(listener, process=process)

    return msgspec.structs.replace(stack, listeners=tuple(owned(listener) for listener in stack.listeners or ()))


def read_sysctl_settings(root: str = "/", *, ufw: bool = False) -> tuple[SysctlSetting, ...]:
    """The settings of sysctl.d that bear on networking, in the order in which they are applied (the last one counts).

    sysctl.d(5): a file in /etc hides one of the same name in /run, and that hides /usr/lib; then all go by name.
    /etc/sysctl.conf stands where a link to it stands (Debian's 99-sysctl.conf), else at the end, as procps applies it;
    the file of an enabled ufw comes after all of them.
    """
    top = Path(root)
    files: dict[str, Path] = {}
    for directory in ("usr/lib/sysctl.d", "usr/local/lib/sysctl.d", "run/sysctl.d", "etc/sysctl.d"):
        files.update({path.name: path for path in _configuration_files(top / directory)})
    ordered = [files[name] for name in sorted(files)]
    main = top / "etc/sysctl.conf"
    ordered = [main if _is_same(path, main) else path for path in ordered]
    ordered += [main] if main not in ordered else []
    ordered += [top / "etc/ufw/sysctl.conf"] if ufw else []
    settings: list[SysctlSetting] = []
    for path in ordered:
        text = read_text(path)
        if text is not None:
            found = parse_sysctl_conf(text, as_text(f"/{path.relative_to(top)}"))
            settings += [setting for setting in found if setting.key.startswith("net.")]
    return tuple(settings)


def _configuration_files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.conf"))
    except OSError:
        return []


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


# --- the stack --------------------------------------------------------------------------------------------------------


def _stack(spots: list[BlindSpot]) -> NetworkStack:
    reading = rtnetlink.read_stack()
    stack = reading.stack
    for problem in reading.problems:
        what, _, why = problem.rpartition(": ")
        area = "host.sockets" if what.startswith("listeners") else "host.network"
        spots.append(BlindSpot(area=area, what=f"the {what} of this host", why=why))
    fdb = BlindSpot(area="host.network", what="the forwarding tables of this host's bridges", why="")
    policies = BlindSpot(area="firewall", what="the IPsec policies of this host", why="", remedy=BY_ROOT)
    for field, read, spot in (("forwarding", rtnetlink.read_forwarding, fdb), ("ipsec", rtnetlink.read_ipsec, policies)):
        try:
            stack = msgspec.structs.replace(stack, **{field: read(stack.links)})
        except (OSError, *netlink.STRANGE_MESSAGE) as error:
            spots.append(msgspec.structs.replace(spot, why=getattr(error, "strerror", None) or str(error)))
    stack.sysctls.update(read_sysctls(SYSCTLS))
    return stack


# --- files ------------------------------------------------------------------------------------------------------------


def _resolv_conf(path: str, spots: list[BlindSpot]) -> ResolvConf | None:
    text = read_text(path)
    if text is not None:
        return parse_resolv_conf(text)
    if Path(path).exists():
        spots.append(
            BlindSpot(
                area="host.resolver",
                what=path,
                why="it cannot be read",
                remedy=BY_ROOT,
            )
        )
        return None
    return ResolvConf(exists=False)


def _link_target(path: str) -> str:
    try:
        return as_text(os.readlink(path))  # noqa: PTH115 - as it is written, which Path would normalise
    except OSError:
        return ""


def _upstream_resolv_conf() -> ResolvConf | None:
    text = read_text("/run/systemd/resolve/resolv.conf")
    return None if text is None else parse_resolv_conf(text)


# --- connection tracking and the kernel's log -------------------------------------------------------------------------


def _conntrack() -> Conntrack | None:
    count, maximum = read_sysctl("net.netfilter.nf_conntrack_count"), read_sysctl("net.netfilter.nf_conntrack_max")
    if count is None or maximum is None or not (is_number(count) and is_number(maximum)):
        return None  # the module is not loaded: nothing is tracked
    return Conntrack(count=int(count), maximum=int(maximum))


def _with_flows(table: Conntrack | None, ports: Collection[int], spots: list[BlindSpot]) -> Conntrack | None:
    if table is None:
        return None
    try:
        return msgspec.structs.replace(table, entries=read_udp_flows(ports, table.count))
    except OSError as error:
        spots.append(
            BlindSpot(
                area="host.conntrack",
                what="the tracked UDP connections",
                why=error.strerror or str(error),
                remedy=BY_ROOT if isinstance(error, PermissionError) else "",
            )
        )
        return table


_KERNEL_LINES = regex(
    r"nf_conntrack: .*(table full|dropping packet)|neighbou?r table overflow|apparmor=\"DENIED\"|avc: +denied", re.IGNORECASE
)
_NEEDLES = ("table full", "table overflow", "DENIED", "avc:", "dropping packet")
_LOG_BYTES = 512 * 1024
_DAY = 86400
_READ_ALL = 3  # SYSLOG_ACTION_READ_ALL: the last bytes of the buffer, without taking them out


def advertised_links(stack: NetworkStack, folder: str = "/proc/net/dev_snmp6") -> tuple[str, ...]:
    """The links of a host that forwards IPv6 which count router advertisements, and take them no more (accept_ra=1)."""
    sysctls = stack.sysctls
    if sysctls.get("net.ipv6.conf.all.forwarding") != "1":
        return ()
    links = dict.fromkeys(a.link for a in stack.addresses if a.family == 6 and a.scope == "global" and a.link != "lo")
    deaf = (link for link in links if sysctls.get(f"net.ipv6.conf.{link}.accept_ra") == "1")
    return tuple(link for link in deaf if _ADVERTISEMENTS.search(read_text(f"{folder}/{link}") or ""))


_ADVERTISEMENTS = regex(r"^Icmp6InRouterAdvertisements\s+[1-9]", re.MULTILINE)


def _kernel_log(spots: list[BlindSpot]) -> tuple[str, ...]:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_LOG_BYTES)
    length = libc.klogctl(_READ_ALL, buffer, _LOG_BYTES)
    if length < 0:
        spots.append(
            BlindSpot(
                area="host.log",
                what="the kernel's log",
                why=os.strerror(ctypes.get_errno()),
                remedy=BY_ROOT,
            )
        )
        return ()
    namespace = Path("/proc/self/ns/net").stat().st_ino
    since = max(time.clock_gettime(time.CLOCK_MONOTONIC) - _DAY, _machine_began())
    return kernel_lines(as_text(buffer.raw[:length]), namespace, since)


def _machine_began() -> float:
    """When its first process started, in seconds since the kernel's boot: much later on a system container.

    The kernel gives the number of a network namespace that ended to a new one, so what its log says of this
    number from before is about another machine.
    """
    try:
        ticks = Path("/proc/1/stat").read_bytes().rpartition(b")")[2].split()[19]  # starttime: field 22 of proc(5)
    except OSError:
        return 0
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def kernel_lines(text: str, namespace: int = 0, since: float = 0) -> tuple[str, ...]:
    """The lines about connection tracking, neighbours and denials, without their priority; the last `LOG_LINES`.

    A table that is said to be full is another's where the line names another network namespace than this
    one, and past where it was said before `since` (seconds since boot, as the log counts).
    """
    if not any(needle in text for needle in _NEEDLES):
        return ()  # as nearly always; half a megabyte is not worth a regular expression
    found = [re.sub(r"^<\d+>", "", line) for line in text.splitlines() if _KERNEL_LINES.search(line)]
    return tuple([line for line in found if not _is_elsewhere(line, namespace) and not _is_past(line, since)][-LOG_LINES:])


def _is_elsewhere(line: str, namespace: int) -> bool:
    named = re.search(r"table full in netns (\d+)", line)
    return named is not None and int(named[1]) != namespace


def _is_past(line: str, since: float) -> bool:
    said_at = re.match(r"\[ *(\d+)\.", line) if "table full" in line or "overflow" in line else None
    return said_at is not None and int(said_at[1]) < since


# --- who else rules here ----------------------------------------------------------------------------------------------


def _active_firewalls(*, ufw: bool, firewalld: bool = False) -> tuple[str, ...]:
    """By their own files, and what is known of them besides."""
    active = {"ufw": ufw, "firewalld": firewalld or _runs("/run/firewalld.pid"), "csf": _csf_enabled()}
    return tuple(name for name, is_active in active.items() if is_active)


def _ruling_firewalls(dumps: tuple[FirewallDump, ...]) -> tuple[str, ...]:
    """By the rules too: ufw that is enabled and has no rule is not active."""
    text = "\n".join(dump.text for dump in dumps)
    return _active_firewalls(
        ufw=":ufw-" in text or '"ufw-' in text,
        firewalld=":FWDI_" in text or ":FORWARD_direct" in text or '"name": "firewalld"' in text,
    )


def ufw_enabled(root: str = "/") -> bool:
    """True if ufw's own file switches it on."""
    text = read_text(Path(root) / "etc/ufw/ufw.conf") or ""
    return bool(re.search(r"^\s*ENABLED=[\"']?yes", text, re.MULTILINE | re.IGNORECASE))


def _csf_enabled() -> bool:
    return Path("/etc/csf/csf.conf").is_file() and not Path("/etc/csf/csf.disable").exists()


def _runs(pid_file: str) -> bool:
    pid = (read_text(pid_file) or "").strip()
    return is_number(pid) and Path(f"/proc/{pid}").is_dir()


def _lsm() -> str:
    if (read_text("/sys/fs/selinux/enforce") or "").strip() == "1":
        return "selinux-enforcing"
    if (read_text("/sys/module/apparmor/parameters/enabled") or "").strip() == "Y":
        return "apparmor"
    return ""
