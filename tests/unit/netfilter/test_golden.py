"""The engine's own golden rulesets of 29 as a yardstick: all are read, and the evaluator agrees with what their names say.

They are no part of this project. They are looked for in `../shared/engine-29/golden` beside the checkout, or where
ENGINE_GOLDEN points. A name lists the options of one network (br-dummy, 192.168.0.0/24, fd49:…) with one container that
publishes 80 as 8080. Texts of nft become JSON in a network namespace of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dockernet_doctor.netfilter import combine, journey, locality, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.model import Context, Packet, Route, Ruleset

_TREE = Path(__file__).parents[3]
_PLACES = (*filter(None, [os.environ.get("ENGINE_GOLDEN")]), *(f"{above}/shared/engine-29/golden" for above in _TREE.parents))
GOLDEN = next((path for place in _PLACES if (path := Path(place)).is_dir()), None)

pytestmark = pytest.mark.skipif(GOLDEN is None, reason="the engine's golden files are not beside this checkout")

BRIDGE = "br-dummy"
HOST, LAN, REMOTE = "10.99.0.5", "10.99.0.2", "203.0.113.9"
CONTAINER, NEIGHBOUR, GATEWAY = "192.168.0.2", "192.168.0.3", "192.168.0.1"

# nft 1.0.6 knows the name `dstnat` for the hook prerouting only
_LOAD = r"""
for file; do
    nft flush ruleset
    sed 's/hook output priority dstnat/hook output priority -100/' "$file" | nft -f - || exit 1
    nft -j list ruleset | tr -d '\n'; echo
done
"""


@cache
def _of_nft(folder: str) -> dict[str, Ruleset]:
    assert GOLDEN is not None
    files = sorted((GOLDEN / folder).glob("*.golden"))
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", _LOAD, "load", *map(str, files)]
    if shutil.which("nft") is None or subprocess.run([*command[:3], "nft", "list", "ruleset"], capture_output=True).returncode:
        pytest.skip("nft cannot be run in a network namespace here")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    texts = done.stdout.splitlines()
    assert len(texts) == len(files)
    return {file.name: parse_nft_json(text) for file, text in zip(files, texts, strict=True)}


@cache
def _of_iptables() -> dict[str, Ruleset]:
    assert GOLDEN is not None
    return {
        file.name: parse_iptables_save(file.read_text(), 6 if "ip6tables" in file.name else 4, "iptables-nft")
        for file in sorted((GOLDEN / "iptabler").glob("*.golden"))
    }


def _named() -> Iterator[tuple[str, dict[str, str], tuple[Ruleset, ...]]]:
    """File, the options in its name, and its rules; those of IPv4 that speak of a network."""
    iptables = {f"iptabler/{name}": combine([ruleset], None) for name, ruleset in _of_iptables().items()}
    nft = {f"nftabler/{name}": combine([], ruleset) for name, ruleset in _of_nft("nftabler").items()}
    for name, rulesets in (iptables | nft).items():
        if re.search(r"/hairpin=.*__ip(tables)?\.golden$", name):
            yield name, dict(re.findall(r"(\w+)=([\w-]+?)(?=[,_])", name)), rulesets


def _context() -> Context:
    def route(packet: Packet) -> Route:
        if packet.destination in (HOST, GATEWAY) or packet.destination.startswith("127."):
            return Route(kind="local", out_interface="lo" if packet.in_interface is None else None)
        return Route(kind="forward", out_interface=BRIDGE if packet.destination.startswith("192.168.0.") else "eth1")

    return Context(locality=locality({HOST, GATEWAY}), route=route)


def _outcomes(rulesets: tuple[Ruleset, ...]) -> dict[str, str]:
    """What becomes of a packet for each question."""
    asked = {
        "published": Packet(source=LAN, destination=HOST, dport=8080, in_interface="eth1"),
        "loopback": Packet(source="127.0.0.1", destination="127.0.0.1", dport=8080),
        "remote loopback": Packet(source=LAN, destination="127.0.0.1", dport=8080, in_interface="eth1"),
        "direct": Packet(source=LAN, destination=CONTAINER, dport=80, in_interface="eth1"),
        "direct, not published": Packet(source=LAN, destination=CONTAINER, dport=81, in_interface="eth1"),
        "neighbour": Packet(
            source=NEIGHBOUR, destination=CONTAINER, dport=81, in_interface=BRIDGE, out_interface=BRIDGE, bridged=True
        ),
        "out": Packet(source=CONTAINER, destination=REMOTE, dport=443, in_interface=BRIDGE),
    }
    found = {}
    for question, packet in asked.items():
        way = journey(rulesets, packet, _context())
        to = f" to {way.dnat.address}:{way.dnat.port}" if way.dnat else ""
        by = f" by {way.snat.kind}" if way.snat and question == "out" else ""
        found[question] = f"{way.verdict}{to}{by}"
    return found


def _meant(options: dict[str, str]) -> dict[str, str]:
    """What the options mean. In mode `routed` it is the driver that asks for no translation, as on the recorded host; these
    files hold what was asked for in each mode.
    """
    internal, mode = options["internal"] == "true", options.get("gwm", "nat")
    on_loopback, no_proxy = options.get("bindlh") == "true", options["hairpin"] == "true"
    led = f"accept to {CONTAINER}:80" if not internal else "accept"
    # without the proxy even packets from 127.0.0.1 are translated
    source = {"true": "snat", "false": "masquerade"}[options.get("snat", "false")]
    hidden = mode != "routed" and options.get("masq") == "true"
    dropped = internal or mode == "nat"
    return {
        "published": "accept" if on_loopback else led,
        "loopback": led if no_proxy else "accept",
        "remote loopback": "drop" if on_loopback else led,
        "direct": "drop" if dropped else "accept",
        "direct, not published": "drop" if internal or mode != "nat-unprotected" else "accept",
        "neighbour": "accept" if options["icc"] == "true" else "drop",
        "out": "drop" if internal else f"accept by {source}" if hidden else "accept",
    }


@pytest.mark.parametrize("folder", ["nftabler", "nftables-unit"])
def test_every_native_ruleset_is_read_whole(folder: str) -> None:
    assert {name: ruleset.errors for name, ruleset in _of_nft(folder).items() if ruleset.errors} == {}
    assert any(ruleset.tables for ruleset in _of_nft(folder).values())


def test_every_ruleset_of_iptables_is_read_whole() -> None:
    assert {name: ruleset.errors for name, ruleset in _of_iptables().items() if ruleset.errors} == {}
    assert all(ruleset.tables for ruleset in _of_iptables().values())


def test_the_evaluator_agrees_with_what_the_names_say() -> None:
    wrong, asked = {}, 0
    for name, options, rulesets in _named():
        meant, outcomes = _meant(options), _outcomes(rulesets)
        asked += len(meant)
        wrong.update(
            {
                (name, question): (outcomes[question], meant[question])
                for question in meant
                if outcomes[question] != meant[question]
            }
        )
    assert asked
    assert wrong == {}
