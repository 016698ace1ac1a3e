"""The kernel readers against `ip`, `ss` and iptables-save on this machine's kernel, in namespaces and on Docker hosts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dockernet_doctor.snapshot import conntrack, firewall, model, namespace, rtnetlink, sandbox, sock_diag, socket_owners
from dockernet_doctor.snapshot.host import read_host, with_ports
from dockernet_doctor.snapshot.model import BlindSpot
from tests.lab.host import Host
from tests.lab.kernel_namespace import DOCKER_DNS, SETUP, namespace_with, programs_say, run_inside
from tests.unit.snapshot import iproute

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rich() -> Iterator[int]:
    with namespace_with(SETUP, DOCKER_DNS, sockets=True) as pid:
        yield pid


def test_the_stack_is_what_the_programs_say(rich: int) -> None:
    def read() -> rtnetlink.StackReading:
        with namespace.inside(rich):
            return rtnetlink.read_stack()

    reading, said, after = read(), programs_say(rich), read()
    for _ in range(20):  # the kernel settles the carrier of a new bridge in its own time
        if reading == after:
            break
        reading, said, after = after, programs_say(rich), read()
    stack = reading.stack
    assert reading.problems == ()
    assert stack.links == iproute.links(said)
    assert set(stack.addresses) == iproute.addresses(said)
    assert set(stack.routes) == iproute.routes(said)
    assert stack.rules == iproute.rules(said)
    assert set(stack.neighbours) == iproute.neighbours(said)
    assert set(stack.listeners or ()) == iproute.listeners(said)


def test_sysctls_from_netlink_are_those_of_proc(rich: int) -> None:
    def read() -> tuple[dict[str, str], dict[str, str]]:
        with namespace.inside(rich):
            told = rtnetlink.read_stack().stack.sysctls
            return told, sandbox.read_sysctls(told)

    told, files = namespace.in_thread(read)
    assert told == files
    assert told["net.ipv4.conf.veth1.rp_filter"] == "2"


def test_a_sandbox_is_read_and_docker_s_rules_with_it(rich: int) -> None:
    before = namespace.own_namespace()
    found = sandbox.read_sandboxes([rich]).sandboxes[rich]
    assert found.namespace == namespace.namespace_of(rich) != before
    assert found.stack.firewall is not None
    (dump,) = found.stack.firewall
    printed = [line for line in run_inside(rich, "iptables-nft-save", "-c").splitlines() if line[:1] != "#"]
    assert dump.text.splitlines() == printed
    assert found.resolv_conf is not None
    assert namespace.own_namespace() == before


def test_processes_of_one_namespace_share_its_stack(rich: int) -> None:
    with subprocess.Popen(["nsenter", "-t", str(rich), "-n", "sleep", "60"]) as second:
        try:
            _until(lambda: namespace.namespace_of(second.pid) == namespace.namespace_of(rich))
            reading = sandbox.read_sandboxes([rich, second.pid])
        finally:
            second.kill()
    assert reading.sandboxes[rich].stack is reading.sandboxes[second.pid].stack


def test_a_process_that_has_ended_has_a_reason() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert "has ended" in sandbox.read_sandboxes([gone.pid]).missing[gone.pid]


def test_rules_beyond_docker_s_are_left_to_the_program() -> None:
    drop = "iptables-nft -A INPUT -p tcp --dport 80 -j DROP; nft add table inet vpn"
    with namespace_with(DOCKER_DNS, drop) as pid:
        reading = sandbox.read_sandboxes([pid])
        assert reading.unread_firewalls == (pid,)
        assert reading.sandboxes[pid].stack.firewall is None
        printed = firewall.read_sandbox_firewall(pid)
    assert printed.blind_spots == ()
    assert [(dump.tool, dump.family) for dump in printed.dumps or ()] == [("iptables-nft", 4), ("nft", None)]
    assert "-A INPUT -p tcp -m tcp --dport 80 -j DROP" in (printed.dumps or ())[0].text


def test_a_namespace_without_rules_has_none_and_gets_none() -> None:
    with namespace_with() as pid:
        reading = sandbox.read_sandboxes([pid])
        assert reading.sandboxes[pid].stack.firewall == ()
        assert firewall.read_sandbox_firewall(pid).dumps == ()
        assert run_inside(pid, "cat", "/proc/self/net/ip_tables_names") == ""  # asking iptables-legacy creates tables
        assert run_inside(pid, "nft", "list", "tables") == ""


def test_legacy_rules_are_printed_where_there_are_some() -> None:
    with namespace_with("iptables-legacy -w -A INPUT -p udp --dport 53 -j DROP") as pid:
        printed = firewall.read_sandbox_firewall(pid)
    assert [(dump.tool, dump.family) for dump in printed.dumps or ()] == [("iptables-legacy", 4)]
    assert "--dport 53 -j DROP" in (printed.dumps or ())[0].text


def test_only_the_thread_that_enters_moves(rich: int) -> None:
    home = namespace.own_namespace()
    seen: list[int] = []
    with namespace.inside(rich):
        assert namespace.own_namespace() != home
        other = threading.Thread(target=lambda: seen.append(Path(f"/proc/{os.getpid()}/ns/net").stat().st_ino))
        other.start()
        other.join()
    assert namespace.own_namespace() == home
    with pytest.raises(ZeroDivisionError), namespace.inside(rich):
        print(1 // 0)
    assert namespace.own_namespace() == home


def test_the_owner_of_a_socket_is_found(rich: int) -> None:
    with namespace.inside(rich):
        listeners, problems = sock_diag.read_listeners()
    assert problems == []
    inode = next(listener.inode for listener in listeners or () if listener.port == 81)
    process = socket_owners.owners([inode, 1])[inode]
    assert (process.pid, process.name[:6], process.container) == (rich, "python", None)


def test_conntrack_holds_the_flow_that_nobody_answered() -> None:
    with namespace_with(DOCKER_DNS, sockets=True) as pid, namespace.inside(pid):
        flows = conntrack.read_udp_flows({9}, 1)
    assert [(flow.destination, flow.dport, flow.replied) for flow in flows or ()] == [("127.0.0.1", 9, False)]


def test_without_rights_there_are_blind_spots_and_no_exception(rich: int) -> None:
    code = f"""
from dockernet_doctor.snapshot import firewall, host, sandbox
dumps = firewall.start_dumps()
spots = [*host.with_ports(host.read_host(), [0], [53]).blind_spots, *dumps.result().blind_spots]
reading = sandbox.read_sandboxes([{rich}])
stack = reading.sandboxes[{rich}].stack
assert 81 in {{x.port for x in stack.listeners}} and "br-app" in {{x.name for x in stack.links}}, stack
assert stack.firewall is None and reading.sandboxes[{rich}].resolv_conf is None
spots += reading.blind_spots({{}})
assert all(spot.remedy for spot in spots), spots
print(" ".join(sorted({{spot.area for spot in spots}})))
"""
    unprivileged = ["setpriv", "--bounding-set=-all"]  # still uid 0, which may be needed to find Python
    done = subprocess.run(
        [*unprivileged, sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert {"firewall", "sandbox"} <= set(done.stdout.split())


def test_the_host_is_read_whole() -> None:
    reading = with_ports(read_host(), [0], [53])
    assert reading.host.stack.sysctls["net.ipv4.ip_forward"] in "01"
    assert "lo" in {link.name for link in reading.host.stack.links}
    assert reading.host.kernel == os.uname().release
    assert reading.host.programs["nft"].endswith("/nft")
    assert not [spot for spot in reading.blind_spots if spot.area.startswith("host")]


IN_HOST = """
import sys
sys.path.insert(0, sys.argv[1])
import msgspec
from dockernet_doctor.snapshot import firewall, host, sandbox
dumps = firewall.start_dumps()
reading = host.with_ports(host.read_host(), [8080])
whole = host.with_firewall(reading.host, dumps.result())
inside = sandbox.read_sandboxes(map(int, sys.argv[2:]))
print(msgspec.json.encode([whole, inside, reading.blind_spots]).decode())
"""


def test_a_docker_host_and_its_sandboxes(host: Host) -> None:
    host.docker("network create app")
    host.docker("run -d --name web --network app -p 8080:80 net-test httpd -f -p 80 -h /www")
    host.docker("run -d --name joined --network container:web net-test sleep 60")
    pids = host.docker("inspect -f '{{.State.Pid}}' web joined").stdout.split()
    printed = host.run([sys.executable, "-c", IN_HOST, str(ROOT), *pids]).stdout
    whole, inside, spots = msgspec.json.decode(printed, type=tuple[model.Host, sandbox.SandboxReading, list[BlindSpot]])
    assert (inside.blind_spots({}), inside.unread_firewalls, inside.missing, spots) == ((), (), {}, [])

    web, joined = (inside.sandboxes[int(pid)] for pid in pids)
    assert web.namespace == joined.namespace
    assert web.resolv_conf is not None
    assert web.resolv_conf.nameservers == ("127.0.0.11",)
    rules = host.run(["nsenter", "-t", pids[0], "-n", "iptables-save", "-c"]).stdout
    (dump,) = web.stack.firewall or ()
    assert dump.text.splitlines() == [line for line in rules.splitlines() if line[:1] != "#"]
    (eth0,) = (link for link in web.stack.links if link.name != "lo")
    (port,) = (link for link in whole.stack.links if link.index == eth0.peer_index)
    assert (port.master or "").startswith("br-")
    holders = {x.process.name for x in whole.stack.listeners or () if x.port == 8080 and x.process}
    assert holders == {"docker-proxy"}
    assert any("DOCKER" in dump.text for dump in whole.stack.firewall or ())


def _until(true: object, seconds: float = 5.0) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
