"""Fixtures of the lab's tests: `host`, one long-lived Docker host for each engine, and `lab`, a lab of one's own."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from tests.corpus import recorder
from tests.lab import packages, tiers
from tests.lab.host import Host, Lab
from tests.lab.machine import Machine


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.lab)
        # a loaded machine has bad moments; each try starts from a clean host
        item.add_marker(pytest.mark.flaky(reruns=2))
    tiers.mark(mine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Where the lab is recorded, keep of each test the try that passed."""
    if not os.environ.get("LAB_RECORD") or Path(__file__).parent not in item.path.parents:
        return (yield)
    made = recorder.directory_of(item.nodeid)
    shutil.rmtree(made, ignore_errors=True)
    done = yield
    if made.exists():
        (made / "passed").touch()
    return done


@pytest.fixture(params=packages.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The age of the engine under test; parametrise `engine` indirectly to run on some only."""
    return str(request.param)


@pytest.fixture
def host(engine: str, pool: Pool) -> Iterator[Host]:
    """A Docker host with no containers, and a neighbour, both clean; what a test leaves there is removed."""
    taken = pool.take(engine)
    taken.state = ""
    yield taken
    pool.clean(engine)


@pytest.fixture
def lab(able: None) -> Iterator[Lab]:
    """An empty lab for tests that need several hosts or daemons of their own."""
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def pool(able: None) -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def able() -> None:
    """Skip, or in CI fail, where the lab cannot be had here."""
    if os.geteuid() != 0:
        _cannot("the lab needs root")
    if missing := packages.missing_machine_packages():
        _cannot(f"the lab needs the packages {', '.join(missing)}: python -m tests.lab prepare")
    try:
        for engine in (*packages.ENGINES, *packages.PODMANS):
            packages.engine_tree(engine)
    except packages.PackagesError as error:
        _cannot(str(error))


def _cannot(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing may be left out: {why}", pytrace=False)
    pytest.skip(why)


class Pool:
    """One lab with one host for each engine asked for; a host that cannot be cleaned is replaced by a new one."""

    def __init__(self) -> None:
        self._labs: dict[str, Lab] = {}
        self._pristine: dict[str, list[str]] = {}

    def take(self, engine: str) -> Host:
        """The engine's host, started where there is none."""
        if engine not in self._labs:
            lab = Lab()
            try:
                host = lab.host(engine, engine)
                # the first container leaves traces that stay, such as the bridge's own address and the raw table
                host.docker("run --rm -p 80:80 net-test true")
                host.run(_KEEP)
            except BaseException:
                lab.close()
                raise
            self._labs[engine] = lab
            self._pristine[engine] = self._fingerprint(engine)
        return self._labs[engine].hosts[engine]

    def clean(self, engine: str) -> None:
        """Remove what a test made; where the machines then differ from what they were, end them."""
        lab = self._labs[engine]
        for machine in lab.machines:
            machine.end_served()
        if not lab.hosts[engine].healthy or not self._cleaned(engine):
            self._labs.pop(engine).close()

    def _cleaned(self, engine: str) -> bool:
        if self._fingerprint(engine) == self._pristine[engine]:
            return True
        self._labs[engine].hosts[engine].run(_REMOVE, check=False, timeout=30)
        deadline = time.monotonic() + 1  # the kernel removes links a moment later
        while self._fingerprint(engine) != self._pristine[engine]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def close(self) -> None:
        for lab in self._labs.values():
            lab.close()

    def _fingerprint(self, engine: str) -> list[str]:
        with ThreadPoolExecutor(3) as threads:
            return list(threads.map(_fingerprint, self._labs[engine].machines))


def _fingerprint(machine: Machine) -> str:
    """What a test may change on a machine and another one would notice."""
    script = _DOCKER_STATE + _STATE if isinstance(machine, Host) else _STATE
    done = machine.run(script, check=False, timeout=20)
    # addresses come and go with the first container of a bridge, counters with every packet
    return re.sub(r" (linkdown|dynamic)|\[\d+:\d+\]", "", done.output)


_KEEP = """
touch /run/stamp
iptables-save >/run/rules4; ip6tables-save >/run/rules6; nft list tables >/run/tables
"""

_REMOVE = """
docker ps -aq | xargs -r docker rm -fv >/dev/null
docker network prune -f >/dev/null
docker volume prune -f >/dev/null
nft list tables | grep -vxFf /run/tables | while read -r table; do nft delete $table; done
iptables-restore </run/rules4; ip6tables-restore </run/rules6
conntrack -F 2>/dev/null
"""

_DOCKER_STATE = """
api() { curl -sS -m 5 --unix-socket /run/docker.sock "http://docker/$1"; }
for kind in 'containers/json?all=1' networks volumes images/json; do api "$kind"; done |
  tr ',[' '\\n\\n' | grep '"Id"\\|Mountp' | sort
echo; tr '\\0' ' ' </proc/$(cat /run/docker.pid)/cmdline; cat /run/docker.pid
find /etc /usr/bin /usr/sbin /usr/lib/systemd -newercm /run/stamp
find /run/home -name scapy -prune -o ! -type d -newercm /run/stamp -print  # a bundle came and went, scapy caches its tables
"""

_STATE = """
iptables-save | grep -v '^#'; ip6tables-save | grep -v '^#'; nft list tables | sort
for family in ip ip6; do nft -s list table $family docker-bridges 2>/dev/null; done
cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; ipset list -n
ip -o link | sed -E 's/ (state|qlen) [^ ]+//g; s/<[^>]*\\bUP\\b[^>]*>/UP/; s/<[^>]*>/DOWN/'
ip -4 -o addr; ip -6 -o addr show scope global; ip -4 route; ip -4 rule; ip neigh show nud permanent; tc qdisc
cd /proc/sys/net
grep -s . ipv4/ip_forward ipv6/conf/*/forwarding ipv6/conf/*/accept_ra ipv6/conf/*/disable_ipv6 bridge/* \\
  ipv4/conf/*/rp_filter ipv4/conf/*/forwarding ipv4/conf/*/route_localnet
cd /proc/net
awk '$4 == "0A" || FILENAME ~ /udp/ {print FILENAME, $2}' tcp tcp6 udp udp6 | sort
cat /proc/[0-9]*/comm | grep -vxE 'sh|cat|grep|sort' | sort
hostname
"""
