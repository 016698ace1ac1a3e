"""Why the kernel dropped a probe's packets: the reasons of its trace point skb:kfree_skb, counted. (`reach --trace`)

The trace point names neither addresses nor namespaces. So the probe is sent a distinctive number of times at once, for less
than the second after which TCP repeats itself: a reason that comes exactly as often, and never in a moment of the same
length before, is that of the probes. Nothing is written: the events are read through perf_event_open(2).

Reasons exist since Linux 5.17 (include/net/dropreason-core.h); their numbers differ from kernel to kernel, and the trace
point's own format says which is which.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.probe.schedule import MANNERS
from dockernet_doctor.probe.steps import Enter, Loop
from dockernet_doctor.regex import regex

TIMES = 7
WINDOW_S = 0.8
_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_EVENT = "events/skb/kfree_skb"
_LARGEST = 1 << 16  # bytes of a file of tracefs
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "ppc64le": 319, "s390x": 331, "riscv64": 241}
_TRACEPOINT, _RAW, _LOST, _SAMPLE, _CLOEXEC = 2, 1 << 10, 2, 9, 8
_ONLINE = Path("/sys/devices/system/cpu/online")
_PAGES = 64  # of each processor's ring: a power of two
_REASON = regex(r"field:enum skb_drop_reason reason;\s*offset:([0-9]{1,4});\s*size:4;")
_NAMED = regex(r'\{ ?(0x[0-9a-fA-F]{1,8}|[0-9]{1,6}), "([A-Z0-9_]{1,40})" ?\}')

_WORDS = {
    "NETFILTER_DROP": "a firewall rule or policy",
    "NO_SOCKET": "no program listens there",
    "IP_RPFILTER": "the reverse path filter",
    "IP_OUTNOROUTES": "no route to the destination",
    "IP_INNOROUTES": "no route to the destination",
    "IP_INADDRERRORS": "an address that is not routed here",
    "IP_LOCAL_SOURCE": "a sender's address that is the host's own",
    "IP_LOCALNET": "a loopback address on another interface",
    "IPV6DISABLED": "IPv6 is disabled on the interface",
    "NEIGH_FAILED": "no answer to ARP or neighbour discovery",
    "NEIGH_QUEUEFULL": "no answer yet to ARP or neighbour discovery",
    "OTHERHOST": "the hardware address of another machine",
    "TCP_LISTEN_OVERFLOW": "the program's queue of new connections is full",
    "SOCKET_RCVBUFF": "the program does not read what it gets",
    "SOCKET_FILTER": "a filter on the program's socket",
    "BPF_CGROUP_EGRESS": "a BPF program of a cgroup",
    "TC_INGRESS": "a tc filter",
    "TC_EGRESS": "a tc filter",
    "XDP": "an XDP program",
    "QDISC_DROP": "the queueing discipline of the interface",
    "XFRM_POLICY": "an IPsec policy",
    "BRIDGE_INGRESS_STP_STATE": "a bridge port that does not forward",
    "SECURITY_HOOK": "a security module",
}


def in_words(reason: str) -> str:
    """`NETFILTER_DROP (a firewall rule or policy)`"""
    return f"{reason} ({_WORDS[reason]})" if reason in _WORDS else reason


class UnreadableError(Exception):
    """The reasons cannot be read here. `remedy` is what to type first, "" where nothing helps."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


def reasons(probe: Probe, resolve: Callable[[Vantage], Enter], tracefs: tuple[Path, ...] = _TRACEFS) -> tuple[str, ...]:
    """The kernel's names of what dropped the probe (tcp, udp, dns or icmp), none where that is not certain.

    Takes two windows of WINDOW_S and sends the probe TIMES times. Raises UnreadableError, NotSentError or NamespaceError.
    """
    event = _event(tracefs)
    enter = resolve(probe.vantage)
    with ExitStack() as stack:
        rings = [stack.enter_context(_Ring(event, cpu)) for cpu in _processors()]
        time.sleep(WINDOW_S)
        before = Counter(reason for ring in rings for reason in ring.read())
        with Loop() as loop:
            answers: list[Answer] = []
            for number in range(TIMES):
                asked = replace(probe, counters=False, sample=number + 1)
                loop.start(MANNERS[probe.kind].ask(asked, enter, WINDOW_S), answers.append)
            end = time.monotonic() + WINDOW_S
            while len(answers) < TIMES:
                loop.turn(end)
        during = Counter(reason for ring in rings for reason in ring.read())
    return tuple(sorted(reason for reason, count in during.items() if count == TIMES and not before[reason]))


class _Event:
    """The trace point's number, where the reason stands in its record, and the names of reasons."""

    def __init__(self, number: int, offset: int, names: dict[int, str]) -> None:
        self.number, self.offset, self.names = number, offset, names


def _event(tracefs: tuple[Path, ...]) -> _Event:
    if platform.machine() not in _PERF_EVENT_OPEN:
        raise UnreadableError(f"not known how on {platform.machine()}")
    for folder in tracefs:
        try:
            number = int(_read(folder / _EVENT / "id"))
            text = _read(folder / _EVENT / "format")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UnreadableError(str(error)) from error
        place = _REASON.search(text)
        if place is None:
            raise UnreadableError("this kernel gives no reasons; Linux 5.17 and later do")
        return _Event(number, int(place[1]), {int(found[1], 0): found[2] for found in _NAMED.finditer(text)})
    raise UnreadableError("tracefs is not mounted", f"mount -t tracefs tracefs {tracefs[0]}")


def _processors() -> Iterator[int]:
    """The numbers of those that are online: `0-3,6` in sysfs."""
    for part in _read(_ONLINE).strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("ascii", "replace")


class _Attributes(ctypes.Structure):
    """The first version of perf_event_attr (64 bytes), which every kernel takes."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
    )


class _Ring:
    """The events of one processor, in memory that is shared with the kernel. A context."""

    def __init__(self, event: _Event, cpu: int) -> None:
        self._event = event
        attributes = _Attributes(
            type=_TRACEPOINT, size=ctypes.sizeof(_Attributes), config=event.number, sample_period=1, sample_type=_RAW
        )
        libc = ctypes.CDLL(None, use_errno=True)
        number = _PERF_EVENT_OPEN[platform.machine()]
        self._file = libc.syscall(number, ctypes.byref(attributes), -1, cpu, -1, ctypes.c_ulong(_CLOEXEC))
        if self._file < 0:
            raise UnreadableError(f"perf_event_open: {os.strerror(ctypes.get_errno())}", "run it as root")
        try:
            self._memory = mmap.mmap(self._file, (1 + _PAGES) * mmap.PAGESIZE)
        except OSError as error:
            os.close(self._file)
            raise UnreadableError(f"perf_event_open: {error.strerror}") from error

    def __enter__(self) -> _Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        os.close(self._file)

    def read(self) -> Iterator[str]:
        """The reasons of what came since the last time."""
        head, tail = struct.unpack_from("=QQ", self._memory, 1024)  # data_head, data_tail
        size = _PAGES * mmap.PAGESIZE
        data = self._memory[mmap.PAGESIZE :]
        while tail < head:
            at = tail % size
            record = (data[at:] + data[:at])[: max(8, struct.unpack_from("=H", data, at + 6)[0])]
            kind, length = struct.unpack_from("=I", record)[0], len(record)
            if kind == _LOST:
                raise UnreadableError("the host drops more packets than can be counted")
            if kind == _SAMPLE:  # header, u32 size, the trace point's record
                yield self._named(struct.unpack_from("=I", record, 12 + self._event.offset)[0])
            tail += length
        struct.pack_into("=Q", self._memory, 1032, head)

    def _named(self, reason: int) -> str:
        return self._event.names.get(reason, f"reason {reason}")
