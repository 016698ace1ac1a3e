"""No peer steers the program: not where it asks, not what it believes of others, not when it ends."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import nullcontext, suppress
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dockernet_doctor.commands.demo import BUNDLE
from dockernet_doctor.probe import arp, capture, dns, icmp, scan
from dockernet_doctor.probe.capture import CapturePoint, Sighting
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.probe.steps import finish
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.cluster_store import read_store

from .program import fake, hang, report_of, tcp_server

HERE = Vantage("here")
WEB = Probe(kind="tcp", vantage=HERE, address="127.0.0.1", port=80)
POINT = CapturePoint(HERE, "eth0")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 399])
def test_a_daemon_that_sends_elsewhere_is_not_followed(status: int) -> None:
    asked: list[socket.socket] = []
    with tcp_server(asked.append) as elsewhere:
        place = f"http://127.0.0.1:{elsewhere}/info"

        def redirect(peer: socket.socket) -> None:
            while peer.recv(1000):
                peer.sendall(f"HTTP/1.1 {status} Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())

        with tcp_server(redirect) as port:
            found, report = report_of("check", "-H", f"tcp://127.0.0.1:{port}", "--no-probes")
            store = read_store(f"etcd://127.0.0.1:{port}", time.monotonic() + 2)
    assert (found, report["hosts"][0]["engine"], asked) == (3, None, [])
    assert any(f"HTTP {status}" in finding["summary"] for finding in report["findings"])
    assert [(node.kind, node.port) for node in store.nodes if node.port == port] == [("", port)]


def test_proxies_of_the_environment_do_not_come_between(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[socket.socket] = []
    monkeypatch.setenv("NO_PROXY", "")
    with tcp_server(asked.append) as proxy, tcp_server(hang) as port:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert report_of("check", "-H", f"tcp://127.0.0.1:{port}", "--timeout", "10", "--no-probes").status == 3
        read_store(f"etcd://127.0.0.1:{port}", time.monotonic() + 0.5)
    assert asked == []


def test_a_bundle_tells_of_its_own_host_alone(tmp_path: Path) -> None:
    whole = bundle.load(str(resources.files("dockernet_doctor") / BUNDLE))
    own = replace(whole.snapshot, name="b")
    lie = Answer(probe=replace(WEB, vantage=Vantage("b")), result="refused", detail="said by a of b")
    truth = replace(lie, probe=replace(lie.probe, vantage=Vantage("a"), port=81))
    bundle.save(str(tmp_path / "a"), bundle.Bundle(snapshot=replace(own, name="a"), answers=(lie, truth)))
    bundle.save(str(tmp_path / "b"), bundle.Bundle(snapshot=own))
    bundle.save(str(tmp_path / "c"), bundle.Bundle(snapshot=own, answers=(replace(lie, probe=WEB), lie)))
    _, report = report_of("check", *(word for name in "abc" for word in ("--bundle", str(tmp_path / name))))
    assert [host["name"] for host in report["hosts"]] == ["a", "b", "b-2"]
    assert {(probe["vantage"], probe["target"]) for probe in report["probes"]} == {
        ("host@a", "127.0.0.1:81"),
        ("host@b-2", "127.0.0.1:80"),
    }


# --- frames of neighbours


def _sighting(*frames: bytes, protocol: int = 0x0800, probe: Probe = WEB) -> Sighting:
    kept = [capture._Frame(protocol, False, frame) for frame in frames]
    return capture._Flow(probe, 40000, kept).sighting(POINT, kept, "")


@given(st.binary(max_size=192), st.sampled_from([0x0800, 0x86DD, 0x0806, 0x88CC]), st.sampled_from(["tcp", "udp", "icmp"]))
def test_no_frame_ends_a_trace(data: bytes, protocol: int, kind: str) -> None:
    capture._is_handshake(data)
    sighting = _sighting(data, protocol=protocol, probe=replace(WEB, kind=kind))
    assert sighting.garbled in (0, 1)


def test_frames_that_are_none_are_counted_beside_those_that_are() -> None:
    from scapy.layers.inet import IP, TCP

    whole = bytes(IP(src="10.0.0.1", dst="127.0.0.1") / TCP(sport=40000, dport=80, flags="S", seq=7))
    sighting = _sighting(whole[:1], whole, whole[:3], whole)
    assert [(packet.what, packet.count) for packet in sighting.packets] == [("SYN", 2)]
    assert sighting.garbled == 2


@given(st.binary(max_size=128))
def test_no_message_of_a_neighbour_raises(data: bytes) -> None:
    assert isinstance(arp._owner(b"\xff" * 12 + b"\x08\x06" + data, "10.0.0.1"), str)
    assert icmp._is_reply(socket.AF_INET, b"\x45\x00" + data, 7) in (True, False)
    assert icmp._is_reply(socket.AF_INET6, b"\x81" + data, 7) in (True, False)
    dns.read(data)


def test_names_that_point_at_themselves_and_answers_without_measure() -> None:
    question = dns.query("a.example", "A", 7)
    head = b"\x00\x07\x81\x80\x00\x01\xff\xff\x00\x00\x00\x00" + question[12:]
    looped = dns.read(head + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x01" * 1)
    assert looped is None  # fewer answers than it says
    assert dns.read(b"\x00\x07\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" + b"\xc0\x0c" + b"\x00\x01\x00\x01") is not None
    many = b"\x00\x07\x81\x80\x00\x01\x07\xd0\x00\x00\x00\x00" + question[12:]
    many += b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x01" * 2000
    reply = dns.read(many)
    assert reply is not None
    assert len(reply.addresses) == 64


# --- peers that go on for ever


def test_datagrams_without_end_do_not_prolong_a_question() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        over = threading.Event()

        def flood() -> None:
            _, asker = server.recvfrom(1000)
            while not over.is_set():
                with suppress(OSError):
                    server.sendto(random.randbytes(40), asker)

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        probe = Probe(kind="dns", vantage=HERE, address="127.0.0.1", port=server.getsockname()[1], name="a.example")
        answer = finish(dns.ask(probe, nullcontext, 0.3))
        over.set()
        thread.join()
    assert answer.result == "timeout"


def test_an_answer_of_dns_that_trickles_over_tcp_does_not_prolong_it() -> None:
    def trickle(peer: socket.socket) -> None:
        peer.sendall(b"\xff\xff")
        while True:
            peer.sendall(b"x")

    with tcp_server(trickle) as port:
        probe = Probe(kind="dns", vantage=HERE, address="127.0.0.1", port=port, name="a.example", over_tcp=True)
        answer = finish(dns.ask(probe, nullcontext, 0.3))
    assert answer.result in ("timeout", "servfail")  # as it comes to 64 KiB in time, or not


@pytest.mark.parametrize("script", ["exec sleep 600", "exec yes", "sleep 600 & exec sleep 600"])
def test_an_nmap_that_never_ends_is_started_once_and_ended(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake(tmp_path, "nmap", f'echo "$*" >> {tmp_path}/asked\n{script}')["PATH"])
    steps = scan.ask(replace(WEB, kind="scan", ports="80"), nullcontext, -1.5)  # and two seconds to write it down
    with suppress(NotSentError):
        assert finish(steps).result == "timeout"
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
