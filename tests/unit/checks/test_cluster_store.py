"""The cluster store's URL as it was meant, and what is in the way to the store (engine ≤ 20.10)."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.engine import daemon_config_invalid
from dockernet_doctor_checks.overlay import (
    cluster_advertise_malformed,
    cluster_advertise_not_reachable,
    cluster_option_misspelt,
    cluster_store_malformed,
    cluster_store_unreachable,
    cluster_store_wrong_backend,
)

from dockernet_doctor.plugin import Case, Check, Finding, model

DROP_IN = "/etc/systemd/system/docker.service.d/cluster.conf"
ADVERTISE = "--cluster-advertise=eth1:2376"


REFUSED = "failed to start daemon: discovery initialization failed (discovery service not supported)"


def found(
    check: Check,
    flags: str,
    *,
    runs: bool,
    said: str = REFUSED,
    rules: str = "",
    store: model.ClusterStore | None = None,
    second: model.Link | None = None,
    log: tuple[model.LogLine, ...] = (),
) -> list[Finding]:
    arguments = ("/usr/bin/dockerd", *flags.split())
    text = f"[Service]\nExecStart=\nExecStart={' '.join(arguments)}\n"
    addresses = [model.Address(link="eth1", address="10.0.0.5", prefix=24, family=4)]
    addresses += [model.Address(link=second.name, address="10.7.0.5", prefix=24, family=4)] if second else []
    stack = model.NetworkStack(
        links=(model.Link(name="lo", index=1), model.Link(name="eth1", index=2), *((second,) if second else ())),
        addresses=tuple(addresses),
        routes=(model.Route(destination="10.0.0.0/24", link="eth1", family=4),),
        firewall=(model.FirewallDump(tool="iptables-nft", family=4, text=rules),) if rules else None,
    )
    snapshot = model.Snapshot(
        name="h1",
        taken_at="2026-01-03T00:00:00Z",
        endpoint="unix:///var/run/docker.sock",
        engine=model.Engine(version="20.10.24", name="h1") if runs else None,
        problem=None if runs else model.EngineProblem(kind="no-socket", detail="no such file"),
        host=model.Host(stack=stack),
        daemon=model.Daemon(
            pid=7 if runs else None,
            arguments=arguments if runs else (),
            files=(model.TextFile(path=DROP_IN, kind="drop-in", text=text),),
            log=log if runs else (model.LogLine(text=said, level="fatal"),),
            readable=True,
            service_state="active" if runs else "failed",
        ),
        store=store,
    )
    assert check.find
    return list(check.find(Case.of([snapshot])))


MEANT = [
    ("10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("etcd:10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("etcd:/10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("etcd//10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("ETCD://10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("etcds://10.0.0.9:2379/docker", "etcd://10.0.0.9:2379/docker"),
    ("zookeeper://10.0.0.9:2181", "zk://10.0.0.9:2181"),
    ("https://10.0.0.9:2379", "etcd://10.0.0.9:2379"),
    ("tcp://10.0.0.9:8500", "consul://10.0.0.9:8500"),
    ("etcd://10.0.0.9", "etcd://10.0.0.9:2379"),
    ("etcd://10.0.0.9,10.0.0.8", "etcd://10.0.0.9:2379,10.0.0.8:2379"),
    ("etcd://10.0.0.9,2379", "etcd://10.0.0.9:2379"),
    ("etcd://10.0.0.9:2379,etcd://10.0.0.8:2379", "etcd://10.0.0.9:2379,10.0.0.8:2379"),
    ("tcp://10.0.0.9:80", None),
    ("consul://10.0.0.9", None),  # which dockerd says it was not built with
    ("consul://10.0.0.9:2379", "etcd://10.0.0.9:2379"),
]


@pytest.mark.parametrize(("url", "right"), MEANT)
def test_the_url_as_it_was_meant(url: str, right: str | None) -> None:
    said = REFUSED if not url.startswith("etcd://") else "failed to start daemon: discovery initialization failed"
    (finding,) = found(cluster_store_malformed.check, f"--cluster-store={url} {ADVERTISE}", runs=False, said=said)
    fix = finding.fixes[0]
    assert fix.runnable is bool(right)
    assert right is None or fix.summary == f"Write {right}, and restart the daemon."


@pytest.mark.parametrize("url", ["etcd://10.0.0.9:2379", "etcd://10.0.0.9:2379,10.0.0.8:2379/docker"])
def test_a_url_that_the_daemon_took(url: str) -> None:
    assert found(cluster_store_malformed.check, f"--cluster-store={url} {ADVERTISE}", runs=True) == []


RULES = [
    ("OUTPUT -p tcp -m tcp --dport 2379 -j DROP", True),
    ("OUTPUT -d 10.0.0.9/32 -j REJECT --reject-with icmp-port-unreachable", True),
    ("INPUT -s 10.0.0.9/32 -j DROP", True),
    ("INPUT -p tcp -j DROP", False),  # of new connections, and the answer belongs to one
    ("OUTPUT -p tcp -m tcp --dport 2380 -j DROP", False),
]


@pytest.mark.parametrize(("rule", "named"), RULES)
def test_a_rule_of_this_host_in_the_way_to_the_store(rule: str, named: bool) -> None:
    url = "etcd://10.0.0.9:2379"
    store = model.ClusterStore(
        url=url, scheme="etcd", nodes=(model.StoreNode(address="10.0.0.9", port=2379, connect="timeout"),)
    )
    rules = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A {rule}\nCOMMIT\n"
    (finding,) = found(
        cluster_store_unreachable.check, f"--cluster-store={url} {ADVERTISE}", runs=True, rules=rules, store=store
    )
    assert ("; h1's own firewall is in the way" in finding.summary) is named
    assert finding.fixes[0].runnable is named


def test_of_several_silent_members_each_is_told_and_all_rules_are_undone() -> None:
    url = "etcd://10.0.0.9:2379,10.0.0.8:2379,10.0.0.7:2379"
    silent = ("10.0.0.8", "10.0.0.7")
    nodes = tuple(model.StoreNode(address=address, port=2379, connect="timeout") for address in silent)
    store = model.ClusterStore(
        url=url, scheme="etcd", nodes=(model.StoreNode(address="10.0.0.9", port=2379, connect="refused"), *nodes)
    )
    drops = [f"OUTPUT -d {address}/32 -p tcp -m tcp --dport 2379 -j DROP" for address in silent]
    rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" + "".join(f"-A {d}\n" for d in drops)
    (finding,) = found(
        cluster_store_unreachable.check, f"--cluster-store={url} {ADVERTISE}", runs=True, rules=f"{rules}COMMIT\n", store=store
    )
    assert finding.fixes[0].commands == tuple(f"iptables -D {drop}" for drop in drops)
    assert "Start the store on 10.0.0.9" in " ".join(f.summary for f in finding.fixes)


@pytest.mark.parametrize("silent", ["refused", "timeout", None])
def test_some_of_several_members_are_a_warning(silent: str | None) -> None:
    url = "etcd://10.0.0.9:2379,10.0.0.8:2379"
    nodes = (
        model.StoreNode(address="10.0.0.9", port=2379, connect="open", kind="etcd", healthy=True),
        model.StoreNode(address="10.0.0.8", port=2379, connect=silent or "open", kind="" if silent else "etcd"),
    )
    store = model.ClusterStore(url=url, scheme="etcd", nodes=nodes)
    findings = found(cluster_store_unreachable.check, f"--cluster-store={url} {ADVERTISE}", runs=True, store=store)
    said = f"at 1 of the 2 configured addresses (10.0.0.8:2379 {silent}): the overlay networks depend on the rest."
    assert [(f.severity, f.summary.partition("cannot be reached ")[2]) for f in findings] == (
        [("warning", said)] if silent else []
    )
    assert all("10.0.0.8" in fix.summary for f in findings for fix in f.fixes)


def test_all_misspelt_flags_are_mended_at_once() -> None:
    flags = "--cluster-stor=etcd://10.0.0.9:2379 --cluster-advertize=eth1:2376 --log-lvel=debug"
    findings = found(cluster_option_misspelt.check, flags, runs=False, said="Status: unknown flag: --cluster-stor")
    assert len(findings) == 2
    for finding in findings:
        assert all(right in finding.fixes[0].commands[0] for right in ("--cluster-store", "--cluster-advertise", "--log-level"))
        assert finding.fixes[0].summary.startswith("Write --cluster-store for --cluster-stor; write --cluster-advertise")


@pytest.mark.parametrize(
    ("port", "cause"), [(2379, cluster_store_unreachable.check.cause), (3579, cluster_store_wrong_backend.check.cause)]
)
def test_a_store_that_says_nothing_at_its_own_port_is_sick(port: int, cause: str) -> None:
    url = f"etcd://10.0.0.9:{port}"
    node = model.StoreNode(address="10.0.0.9", port=port, connect="open", detail="accepts connections and says nothing")
    store = model.ClusterStore(url=url, scheme="etcd", nodes=(node,))
    checks = (cluster_store_unreachable.check, cluster_store_wrong_backend.check)
    named = [c.cause for c in checks if found(c, f"--cluster-store={url} {ADVERTISE}", runs=True, store=store)]
    assert named == [cause]


def test_an_interface_without_an_address_is_none_to_advertise() -> None:
    said = "discovery advertise parsing failed: could not find a valid ip-address in interface lo:2376"
    flags = "--cluster-store=etcd://10.0.0.9:2379 --cluster-advertise=lo:2376"
    (finding,) = found(cluster_advertise_malformed.check, flags, runs=False, said=said)
    assert "without an address that others could reach (lo)" in finding.summary
    assert finding.fixes[0].summary.startswith("Advertise eth1:2376")


def test_the_address_of_another_interface_is_advertised() -> None:
    """One that is down; one that the others, reached by eth1, do not answer to. A host may have its reasons for another."""
    flags = "--cluster-store=etcd://10.0.0.9:2379 --cluster-advertise=eth5:2376"
    store = model.ClusterStore(url="etcd://10.0.0.9:2379", scheme="etcd", hosts=("10.0.0.6:2376", "10.7.0.5:2376"))
    unanswered = (model.LogLine(text="[WARN] memberlist: Was able to connect to h2 but other probes failed", level="warning"),)

    def said(*, up: bool, log: tuple[model.LogLine, ...] = ()) -> list[str]:
        second = model.Link(name="eth5", index=3, up=up)
        findings = found(cluster_advertise_not_reachable.check, flags, runs=True, store=store, second=second, log=log)
        return [finding.summary.partition(":")[0] for finding in findings]

    assert said(up=False) == ["h1 advertises 10.7.0.5, the address of eth5, which is down"]
    assert said(up=True, log=unanswered) == [
        "h1 advertises 10.7.0.5, the address of eth5, while the other hosts are reached by eth1"
    ]
    assert said(up=True) == []


def test_an_advertised_port_that_the_daemon_took_is_well_formed() -> None:
    flags = "--cluster-store=etcd://10.0.0.9:2379 --cluster-advertise=eth1:docker"
    assert found(cluster_advertise_malformed.check, flags, runs=True) == []


def test_all_misspelt_keys_are_mended_at_once() -> None:
    path, text = "/etc/docker/daemon.json", '{"clusterStore": "etcd://10.0.0.9:2379", "cluster-advertize": "eth1:2376"}'
    said = (
        f"unable to configure the Docker daemon with file {path}: the following directives don't match any configuration option"
    )
    snapshot = model.Snapshot(
        name="h1",
        taken_at="2026-01-03T00:00:00Z",
        endpoint="unix:///var/run/docker.sock",
        problem=model.EngineProblem(kind="no-socket", detail="no such file"),
        daemon=model.Daemon(
            files=(model.TextFile(path=path, kind="daemon.json", text=text),),
            log=(model.LogLine(text=f"{said}: clusterStore, cluster-advertize", level="fatal"),),
            readable=True,
        ),
    )
    assert cluster_option_misspelt.check.find
    first, _ = cluster_option_misspelt.check.find(Case.of([snapshot]))
    assert first.fixes[0].summary == "Write cluster-store and cluster-advertise, and start the daemon."
    assert daemon_config_invalid.check.find
    assert list(daemon_config_invalid.check.find(Case.of([snapshot]))) == []
