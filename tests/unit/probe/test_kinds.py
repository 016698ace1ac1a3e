"""Each kind of probe against a real socket on loopback."""

from __future__ import annotations

import shutil
import socket
import struct
import threading
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.probe import dns, http, scan, tcp, udp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe, ProbeKind, ScannedPort
from dockernet_doctor.probe.steps import Steps, Wait, finish
from tests.unit.probe.servers import HOST, closed_port, dns_response, tcp_server, udp_server


def probe(kind: ProbeKind, port: int, **fields: object) -> Probe:
    return Probe(kind=kind, vantage=HOST, port=port, **{"address": "127.0.0.1", **fields})  # type: ignore[arg-type]


def ask_tcp(port: int, **fields: object) -> Answer:
    return finish(tcp.ask(probe("tcp", port, **fields), nullcontext, 30))


def ask_dns(port: int, name: str = "web", **fields: object) -> Answer:
    return finish(dns.ask(probe("dns", port, name=name, **fields), nullcontext, 30))


class TestTcp:
    def test_a_listener_that_stays_is_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tcp, "WATCH_S", 0.03)
        with tcp_server(lambda peer: peer.recv(1)) as port:
            answer = ask_tcp(port)
        assert (answer.result, answer.detail) == ("open", "")
        assert answer.latency_ms is not None

    def test_a_banner_is_open_even_when_the_peer_closes_after_it(self) -> None:
        with tcp_server(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
            answer = ask_tcp(port)
        assert (answer.result, answer.spoke) == ("open", True)

    def test_a_peer_that_closes_without_a_byte_has_nobody_behind_it(self) -> None:
        with tcp_server(lambda peer: None) as port:
            assert ask_tcp(port).result == "accepted-then-closed"

    def test_a_reset_right_after_the_connection_counts_the_same(self) -> None:
        def reset(peer: socket.socket) -> None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        with tcp_server(reset) as port:
            answer = ask_tcp(port)
        assert (answer.result, answer.detail) == ("accepted-then-closed", "reset by the other side")

    def test_a_server_that_should_speak_first_and_does_not_is_mute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tcp, "SPEAK_S", 0.03)
        with tcp_server(lambda peer: peer.recv(1)) as port:
            monkeypatch.setattr(tcp, "SPEAK_FIRST", {port})
            answer = ask_tcp(port)
        assert (answer.result, answer.mute, answer.spoke) == ("open", True, False)

    def test_a_closed_port_refuses(self) -> None:
        with closed_port() as port:
            assert ask_tcp(port).result == "refused"

    def test_no_application_data_is_sent(self) -> None:
        received: list[bytes] = []

        def listen(peer: socket.socket) -> None:
            received.append(peer.recv(10))

        with tcp_server(listen) as port:
            ask_tcp(port)
        assert received == [b""]

    def test_over_ipv6(self) -> None:
        try:
            with tcp_server(lambda peer: peer.send(b"220 hello\r\n"), "::1") as port:
                assert ask_tcp(port, address="::1").result == "open"
        except OSError:
            pytest.skip("no IPv6 here")

    def test_a_source_address_that_is_not_ours_cannot_be_sent_from(self) -> None:
        with pytest.raises(NotSentError, match=r"192\.0\.2\.7"):
            ask_tcp(1, source="192.0.2.7")


class TestUdp:
    def test_an_answer_from_another_address_is_none(self) -> None:
        with _bound("127.0.0.1") as server, _bound("127.0.0.2") as stranger:
            steps = udp.ask(probe("udp", server.getsockname()[1]), nullcontext, 0.02)
            wait = next(steps)
            _, client = server.recvfrom(512)
            stranger.sendto(b"hello", client)
            answer = _go_on(steps, wait)
        assert (answer.result, answer.source) == ("no-reply", "127.0.0.2")

    def test_data_back_is_a_reply(self) -> None:
        with udp_server(lambda data: data) as port:
            answer = finish(udp.ask(probe("udp", port), nullcontext, 30))
        assert answer.result == "reply"

    def test_silence_is_no_reply_and_never_open(self) -> None:
        with udp_server(lambda data: None) as port:
            answer = finish(udp.ask(probe("udp", port), nullcontext, 0.03))
        assert (answer.result, answer.positive) == ("no-reply", False)

    def test_a_closed_port_says_so(self) -> None:
        with closed_port(socket.SOCK_DGRAM) as port:
            answer = finish(udp.ask(probe("udp", port), nullcontext, 30))
        assert answer.result == "unreachable-port"
        assert "port unreachable" in answer.detail


class TestDns:
    def test_addresses(self) -> None:
        with udp_server(lambda q: dns_response(q, ("10.1.0.2", "10.1.0.3"))) as port:
            answer = ask_dns(port)
        assert (answer.result, answer.addresses, answer.source) == ("reply", ("10.1.0.2", "10.1.0.3"), "")

    def test_ipv6_addresses(self) -> None:
        with udp_server(lambda q: dns_response(q, ("fd00::2",))) as port:
            assert ask_dns(port, record="AAAA").addresses == ("fd00::2",)

    @pytest.mark.parametrize(("rcode", "result"), [(2, "servfail"), (3, "nxdomain"), (5, "refused"), (4, "servfail")])
    def test_refusals(self, rcode: int, result: str) -> None:
        with udp_server(lambda q: dns_response(q, rcode=rcode)) as port:
            assert ask_dns(port).result == result

    def test_a_name_without_an_address_of_this_family_is_a_reply(self) -> None:
        with udp_server(dns_response) as port:
            answer = ask_dns(port, record="AAAA")
        assert (answer.result, answer.addresses, answer.detail) == ("reply", (), "the name has no AAAA record")

    def test_silence(self) -> None:
        with udp_server(lambda q: None) as port:
            assert finish(dns.ask(probe("dns", port, name="web"), nullcontext, 0.03)).result == "timeout"

    def test_a_lost_datagram_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dns, "_RESEND_S", 0.02)
        seen: list[bytes] = []

        def second(question: bytes) -> bytes | None:
            seen.append(question)
            return dns_response(question, ("10.1.0.2",)) if len(seen) > 1 else None

        with udp_server(second) as port:
            assert ask_dns(port).addresses == ("10.1.0.2",)
        assert seen[0] == seen[1]

    def test_answers_to_other_questions_are_passed_over(self) -> None:
        with udp_server(lambda q: dns_response(bytes([q[0] ^ 1]) + q[1:], ("10.9.9.9",))) as port:
            answer = finish(dns.ask(probe("dns", port, name="web"), nullcontext, 0.03))
        assert (answer.result, answer.addresses) == ("timeout", ())

    def test_nobody_there(self) -> None:
        with closed_port(socket.SOCK_DGRAM) as port:
            assert ask_dns(port).result == "unreachable-port"

    def test_an_answer_from_another_address_is_no_answer(self) -> None:
        with _bound("127.0.0.1") as server, _bound("127.0.0.2") as stranger:
            steps = dns.ask(probe("dns", server.getsockname()[1], name="web"), nullcontext, 0.02)
            wait = next(steps)
            question, client = server.recvfrom(512)
            stranger.sendto(dns_response(question, ("10.1.0.2",)), client)
            answer = _go_on(steps, wait)
        assert (answer.result, answer.source, answer.addresses) == ("timeout", "127.0.0.2", ())

    def test_a_truncated_answer_is_asked_for_again_over_tcp(self) -> None:
        def whole(peer: socket.socket) -> None:
            question = peer.recv(512)[2:]
            message = dns_response(question, tuple(f"10.1.0.{n}" for n in range(1, 60)))
            peer.sendall(struct.pack("!H", len(message)) + message)

        with tcp_server(whole) as port, _bound("127.0.0.1", port) as server:
            steps = dns.ask(probe("dns", port, name="web"), nullcontext, 30)
            wait = next(steps)
            question, client = server.recvfrom(512)
            server.sendto(dns_response(question, truncated=True), client)
            answer = _go_on(steps, wait)
        assert (answer.result, len(answer.addresses)) == ("reply", 59)
        assert answer.detail == "truncated over UDP, then over TCP: reply"

    def test_over_tcp_alone(self) -> None:
        def answer_it(peer: socket.socket) -> None:
            message = dns_response(peer.recv(512)[2:], ("10.1.0.2",))
            peer.sendall(struct.pack("!H", len(message)) + message)

        with tcp_server(answer_it) as port:
            assert ask_dns(port, over_tcp=True).addresses == ("10.1.0.2",)

    @pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["abcdefgh"] * 32)])
    def test_a_name_that_dns_cannot_carry_is_not_sent(self, name: str) -> None:
        with pytest.raises(NotSentError, match="not a name"):
            dns.query(name, "A", 1)

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_without_complaint(self, message: bytes) -> None:
        reply = dns.read(message)
        assert reply is None or reply.id == int.from_bytes(message[:2], "big")

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.ip_addresses().map(str), max_size=8), st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,9})?", fullmatch=True))
    def test_what_a_server_writes_is_read(self, addresses: list[str], name: str) -> None:
        reply = dns.read(dns_response(dns.query(name, "A", 7), tuple(addresses)))
        assert reply is not None
        assert (reply.id, reply.addresses) == (7, tuple(addresses))


class TestHttp:
    def ask(self, port: int, name: str = "") -> Answer:
        return finish(http.ask(probe("http", port, name=name), nullcontext, 30))

    def test_the_status_line_and_no_more(self) -> None:
        requests: list[bytes] = []

        def page(peer: socket.socket) -> None:
            requests.append(peer.recv(1000))
            peer.send(b"HTTP/1.0 302 Found\r\nSet-Cookie: secret=1\r\n\r\n")

        with tcp_server(page) as port:
            answer = self.ask(port, "web\r\nX: y")
        assert (answer.result, answer.status_line) == ("reply", "HTTP/1.0 302 Found")
        assert requests == [b"HEAD / HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port]

    def test_tls_on_the_other_side(self) -> None:
        with tcp_server(lambda peer: (peer.recv(1000), peer.send(b"\x15\x03\x01\x00\x02\x02\x46"))) as port:
            answer = self.ask(port)
        assert (answer.result, answer.status_line, answer.detail) == ("reply", "", "it speaks TLS")

    def test_a_peer_that_says_nothing_and_closes(self) -> None:
        with tcp_server(lambda peer: peer.recv(1000)) as port:
            assert self.ask(port).result == "accepted-then-closed"

    def test_a_peer_that_is_silent(self) -> None:
        over = threading.Event()
        with tcp_server(lambda peer: over.wait(60)) as port:
            answer = finish(http.ask(probe("http", port), nullcontext, 0.3))
            over.set()
        assert (answer.result, answer.detail) == ("timeout", "connected, and nothing was said")


@pytest.mark.skipif(not shutil.which("nmap"), reason="nmap is not installed")
class TestScan:
    def test_open_and_closed(self) -> None:
        with tcp_server(lambda peer: None) as port, closed_port() as closed:
            answer = finish(scan.ask(probe("scan", 0, ports=f"{port},{closed}"), nullcontext, 60))
        expected = {
            ScannedPort(port=port, protocol="tcp", state="open"),
            ScannedPort(port=closed, protocol="tcp", state="closed"),
        }
        assert (answer.result, set(answer.ports)) == ("reply", expected)

    def test_what_nmap_only_sums_up_is_there(self) -> None:
        answer = finish(scan.ask(probe("scan", 0, ports="1-40", address="127.9.9.9"), nullcontext, 60))
        assert [port.port for port in answer.ports] == list(range(1, 41))
        assert {port.state for port in answer.ports} == {"closed"}


def test_without_nmap_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "find_program", lambda _: "")
    with pytest.raises(NotSentError, match="nmap is not installed"):
        finish(scan.ask(probe("scan", 0, ports="1"), nullcontext, 60))


def _bound(address: str, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    sock.settimeout(60)
    return sock


def _go_on(steps: Steps[Answer], wait: Wait) -> Answer:
    """Finish a conversation whose first wait was taken by hand."""

    def rest() -> Steps[Answer]:
        came = yield wait
        while True:
            try:
                came = yield steps.send(came)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    return finish(rest())
