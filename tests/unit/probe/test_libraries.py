"""scapy and dpkt, python-nmap and the standard library: the same frames and the same scans give the same records."""

from __future__ import annotations

import importlib.util
import socket
import struct
from ipaddress import ip_address
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.probe import nmap_report, packets, packets_dpkt, packets_scapy
from dockernet_doctor.probe.headers import Arp, Datagram, Echo, GarbledError, IcmpError, IpPacket, Segment
from dockernet_doctor.probe.model import ScannedPort

BOTH: tuple[packets.Library, ...] = (packets_scapy, packets_dpkt)
MAC = "02:42:ac:11:00:02"


def _ip4(protocol: int, payload: bytes, source: str = "10.0.0.1", destination: str = "172.17.0.2") -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + ends + payload


def _ip6(protocol: int, payload: bytes, source: str = "fd00::1", destination: str = "fd00::2") -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64) + ends + payload


def _tcp(flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 80, 7, 9, 0x60, flags, 1024, 0, 0) + b"\x02\x04\x05\xb4"


UDP = struct.pack("!HHHH", 40000, 53, 12, 0) + b"data"
ECHO, ECHO_REPLY = (struct.pack("!BBHHH", kind, 0, 0, 0x1234, 1) + bytes(16) for kind in (8, 0))
ECHO6, ECHO_REPLY6 = (struct.pack("!BBHHH", kind, 0, 0, 0x1234, 1) + bytes(16) for kind in (128, 129))


def _error(kind: int, code: int, quoted: bytes) -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + quoted


SYN = Segment(source=40000, destination=80, sequence=7, acknowledged=9, flags=0x02)
FRAMES: list[tuple[bytes, Any]] = [
    (_ip4(6, _tcp(0x02)), SYN),
    (_ip6(6, _tcp(0x02)), SYN),
    (_ip6(0, b"\x06\x00\x01\x04\x00\x00\x00\x00" + _tcp(0x02)), SYN),
    (_ip4(6, _tcp(0x02))[:40], SYN),  # its options are cut off
    (_ip4(17, UDP), Datagram(source=40000, destination=53)),
    (_ip6(17, UDP), Datagram(source=40000, destination=53)),
    (_ip4(1, ECHO), Echo(identity=0x1234, reply=False)),
    (_ip4(1, ECHO_REPLY), Echo(identity=0x1234, reply=True)),
    (_ip6(58, ECHO6), Echo(identity=0x1234, reply=False)),
    (_ip6(58, ECHO_REPLY6), Echo(identity=0x1234, reply=True)),
    (_ip4(1, _error(3, 1, _ip4(6, _tcp(0x02)))), IcmpError(type=3, code=1, flow=40000)),
    (_ip4(1, _error(3, 3, _ip4(17, UDP))), IcmpError(type=3, code=3, flow=40000)),
    (_ip4(1, _error(11, 0, _ip4(1, ECHO))), IcmpError(type=11, code=0, flow=0x1234)),
    (_ip4(1, _error(3, 4, _ip4(6, _tcp(0x02))[:28])), IcmpError(type=3, code=4, flow=40000)),  # eight bytes, RFC 792
    (_ip6(58, _error(1, 4, _ip6(17, UDP))), IcmpError(type=1, code=4, flow=40000)),
    (_ip6(58, _error(2, 0, _ip6(6, _tcp(0x02)))), IcmpError(type=2, code=0, flow=40000)),
    (_ip6(58, _error(1, 3, _ip6(58, ECHO6))), IcmpError(type=1, code=3, flow=0x1234)),
    (_ip4(47, bytes(8)), None),
    (_ip4(1, struct.pack("!BBHIHH", 13, 0, 0, 0, 0, 0) + bytes(8)), None),
    (_ip6(58, struct.pack("!BBHI", 135, 0, 0, 0) + bytes(16)), None),
]


@pytest.mark.parametrize("library", BOTH, ids=["scapy", "dpkt"])
@pytest.mark.parametrize(("frame", "payload"), FRAMES)
def test_an_ip_packet(library: packets.Library, frame: bytes, payload: Any) -> None:
    ipv6 = frame[0] >= 0x60
    source, destination = ("fd00::1", "fd00::2") if ipv6 else ("10.0.0.1", "172.17.0.2")
    assert library.ip(frame, ipv6=ipv6) == IpPacket(source=source, destination=destination, payload=payload)


@pytest.mark.parametrize("library", BOTH, ids=["scapy", "dpkt"])
def test_arp(library: packets.Library) -> None:
    frame = library.arp_request(MAC, "172.17.0.2", "172.17.0.3")
    asked = bytes.fromhex("0001080006040001") + bytes.fromhex(MAC.replace(":", "")) + bytes((172, 17, 0, 2))
    assert frame == b"\xff" * 6 + asked[8:14] + b"\x08\x06" + asked + bytes(6) + bytes((172, 17, 0, 3))
    assert library.arp(frame[14:]) == Arp(operation=1, mac=MAC, source="172.17.0.2", destination="172.17.0.3")
    padded = frame[14:21] + b"\x02" + frame[22:] + bytes(18)
    assert library.arp(padded).operation == 2


@pytest.mark.parametrize("size", [16, 1473])
def test_echo_requests_are_the_same_bytes(size: int) -> None:
    requests = {(ipv6, library.echo_request(0x1234, size, ipv6=ipv6)) for library in BOTH for ipv6 in (False, True)}
    assert sorted(len(request) for _, request in requests) == [size + 8, size + 8]
    ((request4),) = (request for ipv6, request in requests if not ipv6)
    assert sum(struct.unpack(f"!{len(request4) // 2}H", request4[: len(request4) // 2 * 2])) % 0xFFFF == 0  # its checksum


@pytest.mark.parametrize("library", BOTH, ids=["scapy", "dpkt"])
def test_what_a_raw_socket_hears(library: packets.Library) -> None:
    reply = Echo(identity=0x1234, reply=True)
    assert library.echo(_ip4(1, ECHO_REPLY), ipv6=False) == library.echo(ECHO_REPLY6, ipv6=True) == reply
    assert library.echo(_ip4(1, _error(3, 1, _ip4(1, ECHO))), ipv6=False) is None
    assert library.echo(struct.pack("!BBHI", 135, 0, 0, 0) + bytes(16), ipv6=True) is None


@pytest.mark.parametrize("library", BOTH, ids=["scapy", "dpkt"])
@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=128), st.sampled_from([b"", b"\x45\x00\x00\x54\0\0\0\0\x40\x01", b"\x60\0\0\0\0\x40\x3a\x40"]))
def test_any_bytes_are_a_packet_or_garbled(library: packets.Library, data: bytes, start: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "packet_library", lambda: library)
        for read in (packets.read_ip, packets.read_echo):
            for ipv6 in (False, True):
                try:
                    read(start + data, ipv6=ipv6)
                except GarbledError as error:
                    assert str(error)  # noqa: PT017 - most bytes are no packet


def _without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = importlib.util.find_spec

    def find_spec(asked: str, package: str | None = None) -> object:
        return None if asked == name else found(asked, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(nmap_report, "find_spec", find_spec)


@pytest.mark.parametrize(("missing", "library"), [("", packets_scapy), ("scapy", packets_dpkt)])
def test_dpkt_stands_in_where_scapy_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, missing: str, library: ModuleType
) -> None:
    _without(monkeypatch, missing)
    assert packets.packet_library.__wrapped__() is library


# As nmap 7.93 and 7.80 print it, but for the scripts' and times' elements.
SCAN = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/bin/../share/nmap/nmap.xsl" type="text/xsl"?>
<nmaprun scanner="nmap" args="nmap -oX - -sT -p 1-40,8080 127.0.0.1" start="1" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="41" services="1-40,8080"/>
<host starttime="1" endtime="2"><status state="up" reason="user-set" reason_ttl="0"/>
<address addr="127.0.0.1" addrtype="ipv4"/>
<hostnames>
</hostnames>
<ports>%s
<port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/>
<service name="ssh" method="table" conf="3"/></port>
<port protocol="tcp" portid="8080"><state state="filtered" reason="no-response" reason_ttl="0"/></port>
</ports>
</host>
<runstats><finished time="2" timestr="now" summary="done" elapsed="0.05" exit="success"/><hosts up="1" down="0" total="1"/>
</runstats>
</nmaprun>
"""
SUMS = {
    "names its ports": b'<extraports state="closed" count="39"><extrareasons reason="conn-refused" count="39" proto="tcp" '
    b'ports="1-21,23-40"/></extraports>',
    "before 7.90": b'<extraports state="closed" count="39"><extrareasons reason="conn-refused" count="39"/></extraports>',
}
PORTS = [
    ScannedPort(port=port, protocol="tcp", state={22: "open", 8080: "filtered"}.get(port, "closed"))
    for port in (*range(1, 41), 8080)
]


@pytest.mark.parametrize("missing", ["", "nmap"], ids=["python-nmap", "standard library"])
class TestNmap:
    @pytest.mark.parametrize("sum_", SUMS)
    def test_a_scan(self, monkeypatch: pytest.MonkeyPatch, missing: str, sum_: str) -> None:
        _without(monkeypatch, missing)
        assert nmap_report.ports(SCAN % SUMS[sum_], "1-40,8080") == PORTS

    @pytest.mark.parametrize(
        ("printed", "why"),
        [
            (b"Error #485: Your port specifications are illegal.\nQUITTING!\n", "specifications are illegal. QUITTING!"),
            (b"", "it printed nothing"),
            (SCAN[: len(SCAN) // 2], "nmaprun"),
            (b"<nmaprun></nmaprun>", "not whole"),
            (SCAN.replace(b"<!DOCTYPE nmaprun>", b'<!DOCTYPE nmaprun [<!ENTITY a "b">]>') % b"", "entity a"),
            (SCAN.replace(b"<!DOCTYPE nmaprun>", b'<!DOCTYPE a [<!ENTITY a SYSTEM "/etc/passwd">]>') % b"", "entity a"),
        ],
    )
    def test_no_report(self, monkeypatch: pytest.MonkeyPatch, missing: str, printed: bytes, why: str) -> None:
        _without(monkeypatch, missing)
        with pytest.raises(nmap_report.ReportError, match=why):
            nmap_report.ports(printed, "1-40")
