"""Where packets may go."""

from __future__ import annotations

import pytest

from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.permission import Permission
from dockernet_doctor.snapshot.model import (
    Address,
    ClusterStore,
    Container,
    Daemon,
    Endpoint,
    Engine,
    Host,
    Network,
    NetworkStack,
    Reference,
    ResolvConf,
    Sandbox,
    Snapshot,
    State,
    StoreNode,
    Subnet,
    Swarm,
)
from tests.unit.probe.servers import HOST

WEB = Container(
    id="c1",
    name="web",
    state=State(status="running"),
    endpoints=(Endpoint(network="app", ipv4="172.18.0.2", ipv4_gateway="172.18.0.1"),),
    references=(Reference(where="environment", key="DB", host="10.4.0.4", port=5432),),
    extra_hosts=("legacy:10.5.0.5", "six:[fd05::5]"),
    sandbox=Sandbox(pid=1, namespace=1, stack=NetworkStack(), resolv_conf=ResolvConf(ext_servers=("host(10.6.0.6)",))),
)
SNAPSHOT = Snapshot(
    name="h1",
    taken_at="",
    endpoint="",
    containers=(WEB,),
    networks=(Network(id="n1", name="app", driver="bridge", subnets=(Subnet(subnet="172.18.0.0/16"),)),),
    host=Host(
        stack=NetworkStack(addresses=(Address(link="eth1", address="10.0.0.5", prefix=24, family=4),)),
        resolv_conf=ResolvConf(nameservers=("10.3.0.3",)),
    ),
    engine=Engine(
        version="20.10.24",
        cluster_store="etcd://10.7.0.7:2379,10.7.0.8:2379/docker",
        swarm=Swarm(remote_managers=(("n", "10.8.0.8:2377"), ("m", "[fd08::8]:2377"))),
    ),
    daemon=Daemon(pid=7, arguments=("dockerd", "--dns", "10.2.0.2")),
    store=ClusterStore(url="", nodes=(StoreNode(address="10.9.0.9", port=2379, connect="open"),)),
)


def to(address: str, *, name: str = "") -> Probe:
    return Probe(kind="tcp", vantage=HOST, address=address, port=80, name=name)


@pytest.mark.parametrize(
    "address",
    [
        "172.18.0.2",
        "172.18.0.1",
        "10.0.0.5",
        "127.0.0.11",
        "::1",
        "10.2.0.2",
        "10.3.0.3",
        "10.4.0.4",
        "10.5.0.5",
        "fd05::5",
        "10.6.0.6",
        "10.7.0.8",
        "10.8.0.8",
        "fd08::8",
        "10.9.0.9",
    ],
)
def test_what_the_snapshot_holds(address: str) -> None:
    assert Permission([SNAPSHOT])(to(address)) == ""


@pytest.mark.parametrize("address", ["203.0.113.7", "172.18.0.77", "10.0.0.6", "2001:db8::1"])
def test_nothing_else(address: str) -> None:
    assert address in Permission([SNAPSHOT])(to(address))


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "ff02::1", "web", ""])
def test_never_to_many_or_to_what_is_no_address(address: str) -> None:
    assert Permission([SNAPSHOT], [address])(to(address))


def test_what_the_user_named() -> None:
    gate = Permission([SNAPSHOT], ["203.0.113.7", "example.org"])
    assert gate(to("203.0.113.7")) == ""
    assert gate(to("203.0.113.8"))
    gate.learn(answer("example.org", "203.0.113.8"))
    assert gate(to("203.0.113.8")) == ""


def test_what_a_name_in_a_setting_resolves_to_only_when_it_is_private() -> None:
    gate = Permission([SNAPSHOT])
    gate.learn(answer("db.example.org", "10.20.0.20", "93.184.216.34"))
    assert gate(to("10.20.0.20")) == ""
    assert gate(to("93.184.216.34"))


def answer(name: str, *addresses: str) -> Answer:
    return Answer(probe=to("127.0.0.11", name=name), result="reply", addresses=addresses)
