"""Docker 29 with the nftables backend: the families' cases on it, and faults of its own rules; see played29.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab import test_firewall, test_names, test_network_modes, test_published_ports
from tests.lab.case import FaultCase, Step, prove
from tests.lab.host import Host
from tests.lab.packages import NFTABLES
from tests.lab.test_firewall import CLI, DROPPING, NEIGHBOUR, OUTSIDE, TO_OUTSIDE, WEB

_BRIDGES = "ip docker-bridges"
_ACCEPT = (
    f"nft delete rule {_BRIDGES} filter-forward-in__docker0 handle "
    f"$(nft -a list chain {_BRIDGES} filter-forward-in__docker0 | sed -n 's/.*dport 80 .*accept # handle //p')"
)

OWN = [
    FaultCase(
        name="accept-gone",
        cause="docker-rules-missing",
        healthy=WEB,
        broken=_ACCEPT,
        **OUTSIDE,
    ),
    FaultCase(
        name="dnat-hidden-by-docker-proxy",
        cause="docker-rules-missing",
        healthy=WEB,
        broken=f"nft flush chain {_BRIDGES} nat-prerouting-and-output",
        symptom=f"nft list table {_BRIDGES} | grep DNAT",
    ),
    FaultCase(
        name="element-gone",
        cause="docker-rules-missing",
        healthy=CLI,
        broken=f"nft delete element {_BRIDGES} nat-postrouting-out-jumps '{{ \"docker0\" }}'",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
    ),
    FaultCase(
        name="everything-flushed",
        cause="docker-rules-missing",
        healthy=f"{CLI}; {WEB}",
        broken="nft flush ruleset",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
    ),
    FaultCase(
        cause="forward-policy-left-behind",
        healthy=f"{CLI}; {WEB}",
        broken=DROPPING,
        **OUTSIDE,
    ),
    FaultCase(
        name="drop-in-a-chain-of-ones-own",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="nft 'table inet mine { chain forward { type filter hook forward priority -10; tcp dport 80 drop; }; }'",
        **OUTSIDE,
    ),
    FaultCase(
        name="sandbox-without-docker-dns",
        cause="embedded-dns-broken",
        healthy="docker network create app; docker run -d --name web --net app net-test httpd -f -p 80 -h /www;"
        "docker run -d --name cli --net app net-test",
        broken="nsenter -t $(docker inspect -f '{{.State.Pid}}' cli) -n nft flush chain ip docker-dns dns-dnat",
        symptom="docker exec cli timeout 4 nc -w 2 web 80 -e true",
        reach="cli web:80",
    ),
]

LEFT_OUT = {
    "iptables-backends-mixed": "what is in the other backend is what the switch left behind",
    "dnat-of-former-times": "the chain DOCKER of iptables",
    "filter-flushed": "flushes iptables",
    "masquerade-gone": "flushes iptables",
    "dnat-hidden-by-docker-proxy": "flushes iptables",
    "everything-flushed": "the same in OWN",
}
"""Cases that are about Docker's rules in iptables, by name; `OWN` has their like."""

SHORT = frozenset({"accept-gone", "drop-in-a-chain-of-ones-own", "icc-disabled", "sandbox-without-docker-dns"})
"""The cases that `make test` runs, within a minute with the questions of test_agreement.py; the others are long."""


def _played() -> Iterator[FaultCase]:
    modules = (test_published_ports.CASES, test_network_modes.CASES)
    firewall = (test_firewall.RULES, test_firewall.GONE, test_firewall.KERNEL, test_firewall.OPTIONS)
    for case in (case for cases in (*modules, *firewall) for case in cases):
        if "newest" in case.engines and case.id not in LEFT_OUT:
            healthy, broken = _in_words_of_29(case.healthy), _in_words_of_29(case.broken)
            yield replace(case, engines=(NFTABLES,), healthy=healthy, broken=broken)


def _in_words_of_29(step: Step) -> Step:
    """A script with the operator's own rules in FORWARD, the policy as 29 leaves it, and daemon.json with the backend."""
    if not isinstance(step, str) or step == DROPPING:
        return step
    step = step.replace(f"{DROPPING}; ", "").replace("DOCKER-USER", "FORWARD")
    step = step.replace("systemctl stop docker", "systemctl stop docker; nft flush ruleset")  # its tables outlive it
    return step.replace("""echo '{""", """echo '{"firewall-backend": "nftables", """)


CASES = [*(replace(case, engines=(NFTABLES,)) for case in OWN), *_played()]


@pytest.mark.parametrize(
    ("engine", "case"),
    [
        pytest.param(NFTABLES, case, id=f"{NFTABLES}-{case.id}", marks=() if case.id in SHORT else pytest.mark.long)
        for case in CASES
    ],
    indirect=["engine"],
)
def test_faults(host: Host, case: FaultCase) -> None:
    if case.cause == "ipv6-not-enabled":
        host.serve("nc -6 -lk 8000")
    prove(host, case)


@pytest.mark.long
@pytest.mark.parametrize("engine", [NFTABLES], indirect=True)
def test_faults_of_names(host: Host) -> None:
    """Docker's rules of a sandbox are a table of nft's there."""
    dns_gone = "nft flush chain ip docker-dns dns-dnat"
    faults = [replace(fault, broken=fault.broken.replace("iptables -t nat -F", dns_gone)) for fault in test_names.FAULTS]
    test_names.prove_together(host, faults)
