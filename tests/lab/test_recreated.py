"""The oracle of `recreate`: containers with options drawn at random are the same before and after, save in what changed."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from dockernet_doctor.diagnosis.fixes import remedy
from tests.lab.generated_containers import ODD, REFUSED, Drawn
from tests.lab.host import Host
from tests.lab.test_remedy import _container, _facts, _image

A_BATCH = 10
BATCHES = 20
HINT = "new:10.9.8.7"
REFUSED_BY = {
    "oldest": frozenset({"--annotation", "--health-start-interval", "--mac-address"}),
    "middle": frozenset(),
    "newest": frozenset(),
}


@pytest.mark.parametrize("batch", [
    pytest.param(int(os.environ.get("LAB_SEED", "0")) % BATCHES, id="sample"),
    *(pytest.param(number, marks=pytest.mark.long) for number in range(BATCHES)),
])  # fmt: skip
def test_the_same_but_for_what_changed(host: Host, engine: str, batch: int) -> None:
    _image(host, "odd", *ODD)
    host.write("/run/seccomp.json", '{"defaultAction": "SCMP_ACT_ALLOW"}')
    host.docker("network create --ipv6 --subnet 10.77.0.0/24 --subnet fd00:77::/64 app")
    host.docker("network create --subnet 10.78.0.0/24 back")
    host.docker("run -d --name base --network app --ipc shareable -v /of-base net-test sleep 1000")
    block = "/dev/" + host.run("ls /sys/block | head -n 1").stdout.strip()
    drawn = [
        Drawn(n, batch, cgroup=host.cgroup, block=block, refused=REFUSED_BY.get(engine, frozenset())) for n in range(A_BATCH)
    ]
    for it in drawn:
        host.docker(it.words)
        if it.shares or "host" in it.options or "none" in it.options:
            continue
        host.docker(["network", "connect", "--alias", f"backend-{it.name}", "back", it.name])
    wrong = {it.name: found for it in drawn if (found := _wrong(host, it))}
    assert not wrong, json.dumps(wrong, indent=1)


def test_every_option_is_drawn_or_listed(host: Host) -> None:
    known = set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", host.docker("run --help").stdout, re.MULTILINE))
    many = (Drawn(n, seed, cgroup="", block="", refused=frozenset()) for seed in range(BATCHES) for n in range(A_BATCH))
    short = {"-e": "--env", "-l": "--label", "-p": "--publish", "-P": "--publish-all", "-v": "--volume"}
    drawn = {short.get(word, word).partition("=")[0] for it in many for word in it.options if word.startswith("-")}
    assert known - drawn - {"--help"} == REFUSED.keys() & known


def _wrong(host: Host, it: Drawn) -> dict[str, Any]:
    starts = host.ok(["docker", "start", it.name])
    if not starts and "--rm" in it.options:  # it is gone
        host.docker(it.words)
    before = _inspect(host, it.name)
    facts = _facts(host)
    hosts = [] if it.shares else [HINT]
    fix = remedy.recreate(facts, _container(facts, it.name), summary="", add_hosts=hosts)
    found: dict[str, Any] = {}
    create = fix.commands[0].replace(host.cgroup, "")  # whose name is the lab's, and long
    if it.short and len(create) > 400:
        found["long"] = (len(create), create)
    try:
        for command in fix.commands if starts else fix.commands[:-1]:
            host.run(["sh", "-c", command])
    except AssertionError as error:
        return {**found, "failed": str(error), "words": it.words, "commands": fix.commands}
    after = _inspect(host, it.name if starts else f"{it.name}-next")
    host.docker(["rm", "-f", it.name])
    before["HostConfig"]["ExtraHosts"] = [*(before["HostConfig"]["ExtraHosts"] or []), *hosts]
    old, new = _kept(before), _kept(after)
    found |= {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    return {**found, "words": it.words, "commands": fix.commands} if found else {}


def _inspect(host: Host, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.docker(["inspect", name]).stdout)[0]
    return found


_EXCEPTIONS = {
    "Config": {
        "AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce",  # of the client that made it
        "Volumes",  # what is mounted instead
        "Entrypoint", "Cmd",  # Path and Args instead: an entrypoint's further words become arguments
        "Hostname",  # by default the short id
    },
    "HostConfig": {
        "ContainerIDFile", "ConsoleSize",  # of the client that made it
        "Binds", "Mounts", "VolumesFrom",  # what is mounted instead: volumes that nobody named come from the old one
        "NetworkMode",  # `default` is `bridge`
    },
}  # fmt: skip
"""What may differ, and why."""


def _kept(inspection: dict[str, Any]) -> dict[str, Any]:
    """Field by field what has to be the same; the order of a set does not count, and nothing is the same as empty."""
    kept: dict[str, Any] = {}
    for part, left in _EXCEPTIONS.items():
        kept |= {f"{part}.{key}": value or None for key, value in inspection[part].items() if key not in left}
    for field in ("Config.Env", "HostConfig.SecurityOpt", "HostConfig.CapAdd", "HostConfig.CapDrop"):
        kept[field] = sorted(kept.get(field) or [])
    short_id = inspection["Id"][:12]
    shares = inspection["HostConfig"]["NetworkMode"].startswith("container:")  # and has the other's hostname once it has run
    kept["Hostname"] = "" if shares or inspection["Config"]["Hostname"] == short_id else inspection["Config"]["Hostname"]
    kept["Command"] = [inspection["Path"], *inspection["Args"]]
    kept["Image"] = inspection["Image"]
    kept["Mounts"] = sorted(
        (m["Destination"], m["Type"], m.get("Name"), m["Source"], m["RW"], m["Propagation"]) for m in inspection["Mounts"]
    )
    kept["Tmpfs"] = [m for m in inspection["HostConfig"].get("Mounts") or () if m["Type"] == "tmpfs"]
    if kept["HostConfig.Links"]:
        kept["HostConfig.Links"] = [link.replace(f"/{inspection['Name']}/", "/") for link in kept["HostConfig.Links"]]
    for name, endpoint in inspection["NetworkSettings"]["Networks"].items():
        asked = {key: value for key, value in (endpoint["IPAMConfig"] or {}).items() if value}
        aliases = sorted(set(endpoint["Aliases"] or []) - {short_id})
        kept[f"Networks.{name}"] = (aliases, asked, endpoint["Links"] or [], endpoint.get("DriverOpts") or {})
    return kept
