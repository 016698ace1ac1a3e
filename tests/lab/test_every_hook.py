"""Each hook, chain and policy that can drop a packet or its answer, alone and in random pairs: the first fix repairs alone.

It opens no more than it says, it leaves what works as it was, and its undo gives the rules back as they were.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.host import Host

WEB = "docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web"
INSIDE = "nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n"
BUILD = """
docker run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www
docker run -d --name other -p 8081:80 net-test httpd -f -p 80 -h /www
docker run -d --name cli net-test
"""


@dataclass(frozen=True)
class Way:
    """A question, how plain tools ask it, and how they ask the same of another service."""

    question: str
    command: str
    other: str
    by_neighbour: bool = False


PAGE = "docker exec cli timeout 3 nc -w 1 {} -e true"
WAYS = {
    "outside": Way("outside web:80", "curl -fsS -m 1 http://$HOST:8080", "curl -fsS -m 1 http://$HOST:8081", by_neighbour=True),
    "host": Way("host web:80", "curl -fsS -m 1 http://127.0.0.1:8080", "curl -fsS -m 1 http://127.0.0.1:8081"),
    "proxy": Way("cli host:8080", PAGE.format("$HOST 8080"), PAGE.format("$HOST 8081")),
    "peer": Way("cli container:web:80", PAGE.format(f"$({WEB}) 80"), PAGE.format(f"$({WEB.removesuffix('web')}other) 80")),
}


def _native(family: str, hook: str, verdict: str = "policy drop;", *, at: str = "0") -> str:
    """A native table with a chain at a hook."""
    chain = f"{{ type filter hook {hook} priority {at}; {verdict} }}"
    return f"nft add table {family} guard; nft 'add chain {family} guard {hook} {chain}'"


FAULTS = {
    "INPUT policy": "iptables -P INPUT DROP",
    "OUTPUT policy": "iptables -P OUTPUT DROP",
    "INPUT rule": "iptables -I INPUT -p tcp -j DROP",
    "OUTPUT rule": "iptables -I OUTPUT -p tcp -j REJECT",
    "FORWARD rule": "iptables -I FORWARD -p tcp -j DROP",
    "DOCKER-USER request": "iptables -I DOCKER-USER -o docker0 -p tcp -j DROP",
    "DOCKER-USER answer": "iptables -I DOCKER-USER -p tcp --sport 80 -j DROP",
    "raw PREROUTING": "iptables -t raw -I PREROUTING -p tcp --dport 80:8080 -j DROP",
    "raw OUTPUT": "iptables -t raw -I OUTPUT -p tcp --dport 80 -j DROP",
    "mangle PREROUTING policy": "iptables -t mangle -P PREROUTING DROP",
    "mangle FORWARD": "iptables -t mangle -A FORWARD -p tcp -j DROP",
    "mangle POSTROUTING": "iptables -t mangle -A POSTROUTING -o docker0 -p tcp -j DROP",
    "mangle INPUT": "iptables -t mangle -A INPUT -p tcp -j DROP",
    "mangle OUTPUT": "iptables -t mangle -A OUTPUT -p tcp -j DROP",
    "nft inet input": _native("inet", "input"),
    "nft inet forward": _native("inet", "forward"),
    "nft ip output": _native("ip", "output"),
    "nft ip prerouting": _native("ip", "prerouting", at="-310"),
    "nft inet postrouting rule": f"{_native('inet', 'postrouting', '')}; nft add rule inet guard postrouting tcp sport 80 drop",
    "nft bridge forward": f"{_native('bridge', 'forward', '')}; nft add rule bridge guard forward ip protocol tcp drop",
    "inside INPUT policy": f"{INSIDE} iptables -P INPUT DROP",
    "inside OUTPUT policy": f"{INSIDE} iptables -P OUTPUT DROP",
    "inside INPUT rule": f"{INSIDE} iptables -A INPUT -p tcp --dport 80 -j DROP",
}
PAIRS = [*itertools.combinations(FAULTS, 2)]
FIFTY = random.Random(5).sample(PAIRS, 50)
EVERYTHING = ("INPUT policy", "OUTPUT policy", "mangle PREROUTING policy")
SAMPLE = random.Random(os.environ.get("LAB_SEED", "1"))


@pytest.mark.parametrize(
    ("engine", "faults", "ways"),
    [
        pytest.param("newest", [SAMPLE.choice(PAIRS)], ("outside", SAMPLE.choice(["host", "proxy", "peer"])), id="sample"),
        *(
            pytest.param(engine, [(name,) for name in FAULTS], tuple(WAYS), id=f"alone-{engine}", marks=pytest.mark.long)
            for engine in ("newest", "middle", "oldest")
        ),
        *(
            pytest.param("newest", pairs, tuple(WAYS), id=f"pairs-{number}", marks=pytest.mark.long)
            for number, pairs in enumerate((FIFTY[:25], FIFTY[25:]), 1)
        ),
        pytest.param("newest", [EVERYTHING], tuple(WAYS), id="everything", marks=pytest.mark.long),
    ],
    indirect=["engine"],
)
def test_the_first_fix_alone_opens_what_was_asked(host: Host, faults: list[tuple[str, ...]], ways: tuple[str, ...]) -> None:
    host.run(["sh", "-ec", BUILD])
    for way in WAYS.values():
        host.wait(lambda way=way: _passes(host, way), 10, way.question)  # type: ignore[misc]
    host.run(["sh", "-ec", "iptables-save > /run/home/rules"])
    wrong: list[str] = []
    asked = 0
    for fault in faults:
        for name in ways:
            asked += 1
            wrong += [f"{' + '.join(fault)}, {name}: {said}" for said in _told(host, fault, WAYS[name])]
            _restore(host)
    assert asked == len(ways) * len(faults)
    assert not wrong, "\n\n".join(wrong)


def _told(host: Host, faults: tuple[str, ...], way: Way) -> Iterator[str]:
    """What is wrong with the first fix."""
    host.run(["sh", "-ec", "; ".join(FAULTS[fault] for fault in faults)])
    if _passes(host, way):
        return
    elsewhere = {name: _passes(host, it) for name, it in WAYS.items() if it is not way}
    before, other = _rules(host), _passes(host, way, other=True)
    answer = host.doctor(f"reach {way.question} --format json")
    fix = next((fix for finding in answer.findings[:1] for fix in finding["fixes"]), None)
    if fix is None or not fix["runnable"]:
        yield f"no fix that can be run: {answer.causes} {fix}"
        return
    for line in fix["commands"]:
        if not (done := host.run(line, check=False)).ok:
            yield f"{line}: {done.output}"
    if not _passes(host, way):
        yield f"does not repair: {fix['commands']}"
        return
    if not fix["also"] and _passes(host, way, other=True) is not other:
        yield f"opens more than it says: {fix['commands']}"
    yield from (f"closes {name}" for name, passed in elsewhere.items() if passed and not _passes(host, WAYS[name]))
    if not fix["undo"]:
        yield f"no undo: {fix['commands']}"
        return
    for line in fix["undo"]:
        if not (done := host.run(line, check=False)).ok:
            yield f"{line}: {done.output}"
    if (after := _rules(host)) != before:
        yield f"undo leaves other rules: {fix['undo']}\n{before}\n{after}"
    if _passes(host, way):
        yield f"undo does not bring the fault back: {fix['undo']}"


def _passes(host: Host, way: Way, *, other: bool = False) -> bool:
    return (host.neighbour if way.by_neighbour else host).ok(way.other if other else way.command, timeout=10)


def _rules(host: Host) -> str:
    """All rules, without what they have counted."""
    shown = host.run(f"iptables-save; nft list ruleset | grep -A9 guard; {INSIDE} iptables-save", check=False)
    return re.sub(r"\[\d+:\d+\]|^#.*$|packets \d+ bytes \d+", "", shown.stdout, flags=re.MULTILINE)


RESTORING = f"""
iptables -P INPUT ACCEPT; iptables -P OUTPUT ACCEPT
for t in raw mangle; do iptables -t $t -F; done; iptables -t mangle -P PREROUTING ACCEPT
iptables-restore < /run/home/rules
for f in ip inet bridge; do nft delete table $f guard 2>/dev/null; done
{INSIDE} sh -c 'iptables -P INPUT ACCEPT; iptables -P OUTPUT ACCEPT; iptables -F'
"""


def _restore(host: Host) -> None:
    host.run(RESTORING, check=False)
