"""What is fuzzed: for each target what becomes of one input, and what it begins with.

A target returns where the input was read or refused as documented; whatever it raises is a crash.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple
from unittest import mock

import msgspec

from dockernet_doctor import __main__ as program
from dockernet_doctor.diagnosis import registry, run
from dockernet_doctor.diagnosis.fixes import compose_lines
from dockernet_doctor.diagnosis.question import QuestionError, parse_source, parse_target
from dockernet_doctor.netfilter import combine, ipset, iptables, journey, locality, nft, reply_to
from dockernet_doctor.netfilter.docker import is_docker_rule
from dockernet_doctor.netfilter.model import Context, Packet, Route, Ruleset
from dockernet_doctor.once import forget
from dockernet_doctor.probe import capture, dns
from dockernet_doctor.probe.model import Probe, Vantage
from dockernet_doctor.report import explanation, formats, words
from dockernet_doctor.report.model import View
from dockernet_doctor.snapshot import (
    bundle,
    cluster_store,
    compose_files,
    conntrack,
    daemon_files,
    daemon_json,
    daemon_log,
    daemon_options,
    endpoint,
    engine,
    firewall,
    host,
    http,
    netlink,
    nfnetlink,
    procnet,
    references,
    resolv,
    rtnetlink,
    secrets,
    sock_diag,
    systemd_unit,
)
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.model import Snapshot, TextFile
from dockernet_doctor.snapshot.pseudonymised import pseudonymise
from tests.fuzz import seeds
from tests.fuzz.mutation import STRINGS, Choices, mutated, paths
from tests.unit.report import cases


class Target(NamedTuple):
    once: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    longest: int = 4096  # bytes of an input


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _lines(data: bytes) -> list[str]:
    return _text(data).split("\n")


import_module("scapy.layers.inet6")  # takes longer than an input may

# --- firewalls --------------------------------------------------------------------------------------------------------

_CONTEXT = Context(
    locality=locality(("10.99.0.5", "172.17.0.1", "fd00::1")),
    route=lambda packet: (
        Route(kind="local") if packet.destination == "10.99.0.5" else Route(kind="forward", out_interface="docker0")
    ),
    interface_address=lambda _interface, family: "10.99.0.5" if family == 4 else "fd00::1",
)
_PACKETS = (
    Packet(source="203.0.113.9", destination="10.99.0.5", dport=8080, in_interface="eth0"),
    Packet(source="172.18.0.2", destination="172.17.0.2", dport=80, protocol="udp", in_interface="br-app", ctstate="INVALID"),
    Packet(source="10.99.0.5", destination="172.17.0.2", dport=80),
    Packet(family=6, source="fd00::9", destination="fd00::1", protocol="icmpv6", icmp_type=128, in_interface="eth0"),
    Packet(
        source="172.17.0.2", destination="172.17.0.3", dport=80, in_interface="docker0", out_interface="docker0", bridged=True
    ),
)


def _walk(rulesets: tuple[Ruleset, ...], ipsets: Any = None) -> None:
    context = msgspec.structs.replace(_CONTEXT, ipsets=ipsets or {})
    for packet in _PACKETS:
        way = journey(rulesets, packet, context)
        if way.verdict == "accept":
            journey(rulesets, reply_to(way), context)
    for ruleset in rulesets:
        for table in ruleset.tables:
            for chain in table.chains.values():
                for rule in chain.rules:
                    is_docker_rule(rule, ("docker0",))


def _iptables(data: bytes) -> None:
    text = firewall.without_secrets(_text(data))
    rulesets = [iptables.parse_iptables_save(text, 4, "iptables-nft"), iptables.parse_iptables_save(text, 6, "iptables-legacy")]
    _walk(combine(rulesets, None))


def _nft(data: bytes) -> None:
    _walk(combine([], nft.parse_nft_json(firewall.without_secrets(_text(data)))))


def _nft_shapes(data: bytes) -> None:
    """A recorded ruleset with things changed in it."""
    choices = Choices(data)
    value, places = choices.of(_rulesets())
    _walk(combine([], nft.parse_nft_json(msgspec.json.encode(mutated(value, places, choices)).decode())))


@cache
def _rulesets() -> list[tuple[Any, list[Any]]]:
    values = [json.loads(data) for data in seeds.nft()]
    return [(value, paths(value)) for value in values]


def _ipset(data: bytes) -> None:
    sets = ipset.parse_ipset_save(_text(data))
    rules = "".join(f"-A FORWARD -m set --match-set {name} src,dst -j DROP\n" for name in list(sets)[:4])
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n{rules}COMMIT\n"
    _walk((iptables.parse_iptables_save(text, 4, "iptables-nft"), iptables.parse_iptables_save(text, 6, "iptables-nft")), sets)


# --- files and texts of a host ----------------------------------------------------------------------------------------


def _daemon_json(data: bytes) -> None:
    text = _text(data)
    parsed = daemon_json.parse_daemon_json(daemon_files.without_secrets(text, "daemon.json"))
    daemon_options.json_settings(parsed, "/etc/docker/daemon.json")
    daemon_options.unknown_keys(parsed)
    daemon_options.wrong_types(parsed)
    assert len(parsed.twice) < max(1, len(parsed.keys))


def _unit(data: bytes) -> None:
    text = daemon_files.without_secrets(_text(data), "unit")
    file = TextFile(path="/etc/systemd/system/docker.service", kind="unit", text=text)
    for directive in systemd_unit.directives_of(file):
        systemd_unit.split_command(directive.value, systemd_unit.assignments(directive.value))
    systemd_unit.read_unit([file])
    systemd_unit.environment_file(text)


def _flags(data: bytes) -> None:
    daemon_options.parse_flags(_lines(data))


def _resolv(data: bytes) -> None:
    text = _text(data)
    resolv.parse_resolv_conf(text)
    resolv.parse_hosts(text)
    resolv.parse_sysctl_conf(text, "/etc/sysctl.conf")
    host.kernel_lines(text)


def _proc(data: bytes) -> None:
    text = data.decode("ascii", "replace")
    procnet.parse_dev(text)
    procnet.parse_ipv6_route(text)
    procnet.parse_if_inet6(text)
    procnet.parse_fib_trie(text, procnet.parse_route(text))
    sock_diag.parse_proc_sockets(text, "tcp")
    sock_diag.parse_proc_sockets(text, "udp")


def _compose(data: bytes) -> None:
    text = compose_files.masked(_text(data))
    compose_lines.change_service(text, "web", remove={"ports": ["8080:80"]}, add={"ports": ["8081:80"], "networks": ["app"]})
    compose_lines.change_network(text, "app", ["internal: false"])


def _log(data: bytes) -> None:
    text = _text(data)
    daemon_log.keep(daemon_log.parse_line(line) for line in text.splitlines())
    daemon_log.keep(daemon_log.parse_journal(text), "2026-01-02T03:04:05Z")


def _secrets(data: bytes) -> None:
    text = _text(data)
    secrets.scrub(text)
    secrets.secret_words(text)
    secrets.secret_values(*text.partition("=")[::2])


def _references(data: bytes) -> None:
    lines = _lines(data)
    labels = {key: value for key, _, value in (line.partition("=") for line in lines)}
    references.of_settings(env=lines, command=lines, labels=labels, health_test=["CMD", *lines])


def _explain(data: bytes) -> None:
    text = _text(data)
    explanation.causes_of(text, _registry().registered)
    explanation.page_text(text)
    words.visible(text)
    words.visible_lines(text)


@cache
def _registry() -> registry.Registry:
    return registry.load()


def _question(data: bytes) -> None:
    text = _text(data)
    for parse in (parse_source, parse_target):
        with contextlib.suppress(QuestionError):
            parse(text)
    with contextlib.suppress(endpoint.EndpointError):
        endpoint.choose(text, env={})
    cluster_store.parse_store_url(text)


# --- the kernel's answers ---------------------------------------------------------------------------------------------


def _netlink(data: bytes) -> None:
    messages: list[bytes] = []
    with contextlib.suppress(OSError, *netlink.STRANGE_MESSAGE):
        netlink.split(data, messages)
    parsers: tuple[Callable[[], object], ...] = (
        lambda: rtnetlink.parse_links(messages),
        lambda: rtnetlink.parse_netconf(messages),
        lambda: rtnetlink.parse_addresses(messages, {1: "lo"}),
        lambda: rtnetlink.parse_routes(messages, {1: "lo"}),
        lambda: rtnetlink.parse_rules(tuple(messages)),
        lambda: rtnetlink.parse_neighbours(messages, {1: "lo"}),
        lambda: sock_diag.parse_listeners(messages, "tcp"),
        lambda: conntrack.parse_udp_flows(messages, range(65536)),
    )
    for parse in parsers:
        with contextlib.suppress(OSError, *netlink.STRANGE_MESSAGE):
            parse()
    nfnetlink.nat_as_text(messages, messages)
    nfnetlink.docker_dns_as_json(messages, messages)


# --- what comes over the network --------------------------------------------------------------------------------------

_PROBE = Probe(kind="tcp", vantage=Vantage("h1", ""), address="172.18.0.2", port=80)


def _dns(data: bytes) -> None:
    dns.read(data)


def _frames(data: bytes) -> None:
    """The first bytes say which protocol, and whether it leaves."""
    if len(data) < 2:
        return
    frame = capture._Frame((0x0800, 0x86DD, capture._ARP)[data[0] % 3], bool(data[1] & 1), data[2:])
    for kind in ("tcp", "udp", "icmp"):
        flow = capture._Flow(msgspec.structs.replace(_PROBE, kind=kind), 40000, [frame])
        flow.sighting(capture.CapturePoint(_PROBE.vantage, "eth0"), [frame], "")
    capture._is_handshake(data[2:])


@contextlib.contextmanager
def _peer(answer: bytes, *, kind: int = socket.AF_UNIX) -> Iterator[socket.socket]:
    """A connection whose other end said this, and hung up."""
    ours, theirs = socket.socketpair(kind)
    with ours, theirs:
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        yield ours


def _daemon_socket(data: bytes) -> None:
    """What answers at the daemon's socket: three requests over a kept-alive connection, and over new ones that say the same."""
    with contextlib.ExitStack() as stack:
        with http.Api(DaemonEndpoint(url="unix:///nowhere"), timeout=1, deadline=time.monotonic() + 1) as api:
            api._connect = lambda _deadline: stack.enter_context(_peer(data))
            for path in ("/version", "/info", "/networks"):
                with contextlib.suppress(http.ApiError):
                    api.get(path, limit=1 << 16, truncate=True)


@contextlib.contextmanager
def _answering(answers: bytes) -> Iterator[None]:
    """What answers where a cluster store is said to be: the byte FF parts the answers to one connection and the next."""
    said = iter(answers.split(b"\xff"))
    with contextlib.ExitStack() as stack:

        def connect(*_: object, **__: object) -> socket.socket:
            answer = next(said, None)
            if answer is None:
                raise ConnectionRefusedError
            return stack.enter_context(_peer(answer))

        with (
            mock.patch.object(socket, "create_connection", connect),
            mock.patch.object(cluster_store, "_connect", return_value=("open", "")),
        ):
            yield


def _store_socket(data: bytes) -> None:
    """One node of a cluster store."""
    with _answering(data):
        msgspec.json.encode(cluster_store.ask_node("10.0.0.1", 2379, time.monotonic() + 1))


class _AtOnce:
    """In place of Threaded: the answers are given in one order."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._answer = work()

    def result(self, _until: float) -> Any:
        return self._answer


def _store(data: bytes) -> None:
    """A whole cluster store: its URL in the first line, what nodes and content answer after it."""
    url, _, answers = data.partition(b"\n")
    with _answering(answers), mock.patch.object(cluster_store, "Threaded", _AtOnce):
        msgspec.json.encode(cluster_store.read_store(_text(url), time.monotonic() + 1))


def _answer(answers: dict[str, Any], path: str, limit: int) -> tuple[int, bytes]:
    """A daemon's: status and body."""
    plain = re.sub(r"^/v1\.\d+|&since=[\d.]+", "", path)
    answer = answers.get(plain)
    if answer is None:
        return 404, b'{"message": "no such thing"}'
    return 200, msgspec.json.encode(answer)[: limit + 1]


@cache
def _recorded_answers() -> list[tuple[Any, list[Any]]]:
    found = [seeds.engine(version)["answers"] for version in ("20.10", "26.1", "28.5")]
    return [(value, [path for path in paths(value) if path]) for value in found]


def _engine(data: bytes) -> None:
    """Recorded answers of the API with things changed in them; what is made of them is a snapshot that a bundle can hold."""
    choices = Choices(data)
    value, places = choices.of(_recorded_answers())
    answers = mutated(value, places, choices)
    with http.Api(DaemonEndpoint(url="unix:///nowhere"), timeout=60, deadline=time.monotonic() + 60) as api:
        api._ask = lambda method, path, limit: _answer(answers, path, limit)  # type: ignore[method-assign]
        reading = engine.read_engine(api)
    read = Snapshot(
        name="h1",
        taken_at="2026-01-02T03:04:05Z",
        endpoint="unix:///nowhere",
        engine=reading.engine,
        networks=reading.networks,
        containers=reading.containers,
        services=reading.services,
        blind_spots=reading.blind_spots,
    )
    bundle.loads(bundle.dumps(bundle.Bundle(snapshot=read)), "x")


# --- bundles, and the whole program over them -------------------------------------------------------------------------


def _bundle_bytes(data: bytes) -> None:
    with contextlib.suppress(bundle.BundleError):
        bundle.loads(data, "x")


@cache
def _recorded_bundles() -> list[tuple[Any, list[Any]]]:
    return [(value, paths(value)) for value in seeds.bundles()]


def _changed_bundle(choices: Choices) -> bytes:
    value, places = choices.of(_recorded_bundles())
    return msgspec.json.encode(mutated(value, places, choices))


def _pseudonyms(data: bytes) -> None:
    """A bundle that can be read can be read with pseudonyms."""
    with contextlib.suppress(bundle.BundleError):
        found = bundle.loads(_changed_bundle(Choices(data)), "x")
        bundle.loads(bundle.dumps(pseudonymise(found).bundle), "x")


_VERBS: tuple[tuple[str, ...], ...] = (
    ("check",), ("check", "-v"), ("check", "NAME"), ("reach", "outside", "NAME:PORT"), ("reach", "host", "NAME"),
    ("reach", "NAME", "NAME:PORT"), ("reach", "NAME", "host:PORT"), ("reach", "outside", "host:PORT/udp"), ("ports",),
    ("ports", "NAME"),     ("map",), ("map", "NAME"), ("plan", "check"), ("plan", "reach", "NAME", "NAME"),
    ("collect", "-"), ("explain", "NAME"),
)  # fmt: skip
_FORMATS = ("text", "json", "markdown", "html", "junit", "mermaid", "dot", "svg")
_OWN_WORDS = ("web", "api", "db", "c1", "80", "8080", "53")


def _program(data: bytes) -> None:
    """A command line over a changed bundle: every verb and format. It ends as documented, and no check fails."""
    choices = Choices(data)
    verb, form = choices.of(_VERBS), choices.of(_FORMATS)
    value, places = choices.of(_recorded_bundles())
    names = [container.get("name", "x") for container in value["snapshot"].get("containers", [])]
    name, port = choices.of((*names, *_OWN_WORDS, *STRINGS)), str(choices.of((80, 8080, 53, 9000, 5432, 22, 0, 65536)))
    arguments = [word.replace("NAME", str(name)).replace("PORT", port) for word in verb]
    with tempfile.NamedTemporaryFile(prefix="fuzz-", suffix=".bundle") as file:
        file.write(msgspec.json.encode(mutated(value, places, choices)))
        file.flush()
        bundle_of = [] if verb[0] == "explain" else ["--bundle", file.name]
        in_form = [] if verb[0] == "collect" else ["--format", form]
        status = _run([*bundle_of, *in_form, *arguments])
    if status not in (0, 1, 2, 3):
        raise AssertionError(f"status {status} of {arguments}")


def _raised(error: Exception, _arguments: list[str]) -> int:
    raise error


def _unguarded(self: Any, entry: Any, function: Callable[[Any], Any]) -> Any:
    """In place of what makes a line of the report of a check's exception."""
    return self._in_time(entry, lambda: list(function(self.case)))


def _run(arguments: list[str]) -> int:
    """Exit status of the program, run in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(program, "_internal", _raised),
            mock.patch.object(run._Runner, "_run", _unguarded),
        ):
            return program.run(arguments)
    finally:
        forget()


@cache
def _views() -> list[tuple[Any, list[Any]]]:
    made = [
        cases.view(cases.diagnosis(findings=(cases.LOOPBACK, cases.SYMPTOM, cases.BY_HAND, cases.REMARK))),
        cases.view(cases.diagnosis(paths=(cases.BROKEN_PATH, cases.GOOD_PATH, cases.UNKNOWN_PATH))),
    ]
    values = [json.loads(msgspec.json.encode(view)) for view in made]
    return [(value, paths(value)) for value in values]


def _formats(data: bytes) -> None:
    """Reports with things changed in them, in every format."""
    choices = Choices(data)
    value, places = choices.of(_views())
    width = 40 + choices.below(100)
    try:
        view = msgspec.convert(mutated(value, places, choices), View)
    except msgspec.ValidationError:
        return
    for name in ("text", "json", "markdown", "html", "junit"):
        formats.render(view, name, width=width, colour=name == "text")


TARGETS = {
    "iptables": Target(_iptables, seeds.small(seeds.iptables)),
    "nft": Target(_nft, seeds.small(seeds.nft)),
    "nft_shapes": Target(_nft_shapes, seeds.small(seeds.changes), 128),
    "ipset": Target(_ipset, seeds.small(seeds.ipset)),
    "daemon_json": Target(_daemon_json, seeds.small(seeds.daemon_json)),
    "unit": Target(_unit, seeds.small(seeds.units)),
    "flags": Target(_flags, seeds.small(seeds.flags)),
    "resolv": Target(_resolv, seeds.small(seeds.resolv)),
    "proc": Target(_proc, seeds.small(seeds.proc)),
    "compose": Target(_compose, seeds.small(seeds.compose)),
    "log": Target(_log, seeds.small(seeds.logs)),
    "secrets": Target(_secrets, seeds.small(seeds.secrets)),
    "references": Target(_references, seeds.small(seeds.settings)),
    "explain": Target(_explain, seeds.small(seeds.texts)),
    "question": Target(_question, seeds.small(seeds.questions), 512),
    "netlink": Target(_netlink, seeds.small(seeds.netlink)),
    "dns": Target(_dns, seeds.small(seeds.dns), 1024),
    "frames": Target(_frames, seeds.small(seeds.frames), 192),
    "daemon_socket": Target(_daemon_socket, seeds.small(seeds.http)),
    "store_socket": Target(_store_socket, seeds.small(seeds.stores)),
    "store": Target(_store, seeds.small(seeds.whole_stores)),
    "engine": Target(_engine, seeds.small(seeds.changes), 128),
    "bundle_bytes": Target(_bundle_bytes, lambda: seeds.encoded(list(seeds.bundles())[:3]), 1 << 16),
    "pseudonyms": Target(_pseudonyms, seeds.small(seeds.changes), 128),
    "formats": Target(_formats, seeds.small(seeds.changes), 128),
    "program": Target(_program, seeds.small(seeds.changes), 128),
}
