"""A small host built by hand: containers on the network app, a bridge, an uplink, and what is asked of it."""

from __future__ import annotations

from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.registry import load
from dockernet_doctor.diagnosis.run import Diagnosis, diagnose
from dockernet_doctor.plugin import Finding, model

REGISTRY = load()
APP = model.Network(id="n1", name="app", driver="bridge", bridge="app0", subnets=(model.Subnet(subnet="172.18.0.0/16"),))


def member(
    number: int,
    name: str,
    *ports: int,
    image: str = "",
    state: model.State | None = None,
    process: str = "",
    references: tuple[model.Reference, ...] = (),
    log: tuple[str, ...] = (),
    bindings: tuple[model.PortBinding, ...] = (),
    published: tuple[model.PublishedPort, ...] = (),
    listeners: tuple[model.Listener, ...] = (),
) -> model.Container:
    """A container on app, 172.18.0.NUMBER, that listens on these TCP ports."""
    owner = model.Process(pid=number, name=process) if process else None
    listeners += tuple(model.Listener(protocol="tcp", family=4, address="0.0.0.0", port=p, process=owner) for p in ports)
    address = f"172.18.0.{number}"
    stack = model.NetworkStack(
        links=(model.Link(index=1, name="lo"), model.Link(index=2, name="eth0", kind="veth", peer_index=number + 10)),
        addresses=(model.Address(link="eth0", address=address, prefix=16, family=4),),
        routes=(
            model.Route(family=4, destination="172.18.0.0/16", link="eth0"),
            model.Route(family=4, destination="0.0.0.0/0", gateway="172.18.0.1", link="eth0"),
        ),
        listeners=listeners,
    )
    state = state or model.State(status="running", running=True, pid=number, started_at="2026-01-01T00:00:00Z")
    return model.Container(
        id=f"{number}" * 64, name=name, image=image, state=state, network_mode="app", references=references, log_tail=log,
        endpoints=(model.Endpoint(network="app", network_id="n1", ipv4=address if state.running else None),),
        sandbox=model.Sandbox(pid=number, namespace=number, stack=stack) if state.running else None,
        bindings=bindings, ports=published,
    )  # fmt: skip


def host(
    *containers: model.Container, more: tuple[model.Address, ...] = (), forwarding: str = "1", rules: str = ""
) -> model.Host:
    """`rules` are those of iptables' filter table, between its policies and COMMIT; "" is a host without a firewall."""
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
    veths = [model.Link(index=int(c.id[0]) + 10, name=f"veth{c.id[0]}", kind="veth", master="app0") for c in containers]
    stack = model.NetworkStack(
        links=(
            model.Link(index=1, name="lo"),
            model.Link(index=2, name="eth1"),
            model.Link(index=3, name="app0", kind="bridge"),
            *veths,
        ),
        addresses=(
            model.Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
            model.Address(link="eth1", address="10.99.0.3", prefix=24, family=4),
            model.Address(link="app0", address="172.18.0.1", prefix=16, family=4),
            *more,
        ),
        routes=(
            model.Route(family=4, destination="172.18.0.0/16", link="app0", source="172.18.0.1"),
            model.Route(family=4, destination="10.99.0.0/24", link="eth1", source="10.99.0.3"),
            model.Route(family=4, destination="0.0.0.0/0", gateway="10.99.0.2", link="eth1"),
        ),
        listeners=(),
        sysctls={"net.ipv4.ip_forward": forwarding, "net.bridge.bridge-nf-call-iptables": "1"},
        firewall=(model.FirewallDump(tool="iptables-nft", family=4, text=text),) if rules else None,
    )
    return model.Host(stack=stack)


def snapshot(
    *containers: model.Container,
    on: model.Host | None = None,
    daemon: model.Daemon | None = None,
    networks: tuple[model.Network, ...] = (APP,),
) -> model.Snapshot:
    return model.Snapshot(
        name="h", taken_at="2026-01-02T00:00:00Z", endpoint="unix:///run/docker.sock", engine=model.Engine(version="28.5.2"),
        networks=networks, containers=containers, host=on or host(*containers),
        daemon=daemon or model.Daemon(pid=1, readable=True),
    )  # fmt: skip


def check(*containers: model.Container, on: model.Host | None = None, daemon: model.Daemon | None = None) -> list[Finding]:
    return list(diagnose([snapshot(*containers, on=on, daemon=daemon)], registry=REGISTRY).findings)


def reach(source: str, target: str, of: model.Snapshot) -> Diagnosis:
    question = Question(source=parse_source(source), target=parse_target(target))
    return diagnose([of], [question], asked=True, registry=REGISTRY)
