"""Real Docker hosts on one machine: `Lab` owns wires, neighbours and hosts and ends everything it started.

    with Lab() as lab:
        host = lab.host("newest")
        host.docker("run -d --name web -p 8080:80 net-test httpd -f -p 80")
        lab.neighbour.run(f"curl -s http://{host.address}:8080")

What a lab leaves to the machine is nothing: its mounts, links and processes live in namespaces that end with it, and a
keeper process removes its cgroups, also when the lab's owner is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from tests.corpus import recorder
from tests.lab import images, packages
from tests.lab.machine import CommandError, Completed, Machine

UNIT = "/usr/lib/systemd/system/docker.service"
_HERE = Path(__file__).parent
WIRE = 99
"""The number of the wire that every machine is on, and the third last part of addresses there: 10.99.0.2, fd00:99::2."""
OUTSIDE, OUTSIDE6 = "198.51.100.1", "2001:db8:99::1"
"""Addresses behind the neighbour, off the wire: `example.test`, the internet as the lab has it."""


class Doctor(NamedTuple):
    """One run of the tool on a host."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report. Raises CommandError where standard output is none."""
        try:
            report: dict[str, Any] = json.loads(self.stdout)
        except ValueError:
            raise CommandError(f"no report, exit {self.status}\n{self.stdout}\n{self.stderr}") from None
        return report

    @property
    def findings(self) -> list[dict[str, Any]]:
        findings: list[dict[str, Any]] = self.report["findings"]
        return findings

    @property
    def causes(self) -> list[str]:
        return [finding["cause"] for finding in self.findings]


class Lab:
    """A wire with a neighbour, and the Docker hosts on it. Use as a context manager, or call `close`."""

    def __init__(self) -> None:
        self.name = f"dnd-{os.getpid()}-{secrets.token_hex(3)}"
        self.machines: list[Machine] = []
        self.hosts: dict[str, Host] = {}
        reading, self._lifeline = os.pipe()
        self._reading = os.fdopen(reading, "rb", buffering=0)
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "keeper", self.name], stdin=self._reading, cwd="/", start_new_session=True
        )
        self._closed = False
        self._addresses = 1
        try:
            self.wire = self._machine("wire")
            self.neighbour = self._neighbour()
        except BaseException:
            self.close()
            raise

    def host(
        self,
        engine: str = "newest",
        name: str = "",
        *,
        flags: list[str] | None = None,
        daemon_json: dict[str, Any] | str | None = None,
        forward: bool = True,
        socket_activated: bool = False,
        hostname: str = "",
        daemon: bool = True,
        beside: Sequence[Path] = (),
    ) -> Host:
        """Start a Docker host; with daemon=False the machine only. `forward` is ip_forward before the daemon starts; the
        programs of the trees `beside` are there, too. A Podman has no daemon: see podman.py."""
        name = name or f"host{len(self.hosts) + 1}"
        if name in self.hosts:
            raise ValueError(f"the lab has a host {name!r} already")
        host = Host(
            hostname or name,
            engine,
            lifeline=self._reading,
            cgroup=f"/{self.name}/{name}",
            trees=[*packages.engine_tree(engine), *beside],
        )
        self.machines.append(host)
        self.hosts[name] = host
        host.address, host.address6 = self.plug(host)
        host.neighbour, host.wire = self.neighbour, self.wire
        own = {"HOST": host.address, "HOST6": host.address6}
        host.environment |= own | {"NEIGHBOUR": self.neighbour.address, "NEIGHBOUR6": self.neighbour.address6}
        self.neighbour.environment = own | self.neighbour.environment  # the first host keeps the name
        host.write("/etc/resolv.conf", f"nameserver {self.neighbour.address}\noptions timeout:2 attempts:1\n")
        host.sysctl("net.ipv4.ip_forward", int(forward))
        if engine in packages.PODMANS:
            return host
        host.install_service(socket_activated=socket_activated)
        if engine == packages.NFTABLES:
            host.play_nftables()
        if daemon:
            host.start_daemon(*(flags or []), config=daemon_json)
            host.load_images()
        return host

    def machine(self, name: str, *, trees: list[Path] | None = None, wire: int = WIRE) -> Neighbour:
        """Another plain machine on a wire, without Docker; the programs of `trees` are in its /usr."""
        machine = Neighbour(name, lifeline=self._reading, cgroup=f"/{self.name}/{name}", trees=trees)
        self.machines.append(machine)
        machine.address, machine.address6 = self.plug(machine, wire=wire)
        return machine

    def store(self, kind: Literal["etcd", "zookeeper", "consul"], *, v2_api: bool = True) -> Neighbour:
        """A machine on the wire that runs one node of a cluster store, answering at 2379, 2181 or 8500 of its address.

        `v2_api` is etcd's --enable-v2, which engines up to 20.10 need.
        """
        machine = self.machine(kind, trees=[packages.unpacked(kind)])
        etcd = ["etcd", "--data-dir", "/run/etcd", f"--enable-v2={str(v2_api).lower()}"]
        etcd += [
            "--listen-client-urls",
            "http://0.0.0.0:2379",
            "--advertise-client-urls",
            f"http://{machine.address}:2379",
        ]
        java = ["java", "-Dzookeeper.admin.enableServer=false", "-cp", "/usr/share/java/zookeeper.jar"]
        command, port = {
            "etcd": (etcd, 2379),
            "zookeeper": ([*java, "org.apache.zookeeper.server.ZooKeeperServerMain", "2181", "/run/zookeeper"], 2181),
            "consul": (["consul", "agent", "-dev", "-client", "0.0.0.0", "-bind", machine.address], 8500),
        }[kind]
        machine.serve(f"{shlex.join(command)} >/var/log/{kind}.log 2>&1")
        asking = "echo srvr | nc -w 2 127.0.0.1 2181 | grep Mode" if kind == "zookeeper" else f"nc -z 127.0.0.1 {port}"
        machine.wait(asking, 30, f"{kind} answers")
        return machine

    def plug(self, machine: Host | Neighbour, interface: str = "eth1", *, wire: int = WIRE) -> tuple[str, str]:
        """Give a machine an interface on a wire and an address of each family, which are returned; the neighbour is the
        gateway of those on its own wire. Another wire comes to be with its first machine."""
        self._addresses += 1
        addresses = f"10.{wire}.0.{self._addresses}", f"fd00:{wire}::{self._addresses:x}"
        port, bridge = f"w{self._addresses}", "wire" if wire == WIRE else f"wire{wire}"
        # made inside the wire's namespace, its peer straight in the machine's: nothing shows in the root namespace
        command = f"ip link show {bridge} >/dev/null 2>&1 || ip link add {bridge} type bridge && ip link set {bridge} up"
        command += f" && ip link add {port} type veth peer name {interface} netns {machine.pid}"
        command += f" && ip link set {port} master {bridge} up"
        subprocess.run(
            ["nsenter", "-t", str(self.wire.pid), "-n", "sh", "-c", command], check=True, capture_output=True, text=True
        )
        commands = [
            f"ip link set {interface} up",
            f"ip addr add {addresses[0]}/24 dev {interface}",
            f"ip -6 addr add {addresses[1]}/64 dev {interface} nodad",
        ]
        if self._addresses > 2 and wire == WIRE:
            gateway = self.neighbour
            commands += [
                f"ip route replace default via {gateway.address}",
                f"ip -6 route replace default via {gateway.address6}",
            ]
        machine.run(" && ".join(commands))
        return addresses

    def close(self) -> None:
        """End every process of the lab and remove its cgroups; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        os.close(self._lifeline)
        with contextlib.ExitStack() as ending:  # the rest ends, too, where one of them does not end in time
            ending.callback(self._keeper.wait, 30)
            ending.callback(self._reading.close)
            for machine in reversed(self.machines):
                ending.callback(machine.kill)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _machine(self, name: str) -> Machine:
        machine = Machine(name, lifeline=self._reading, cgroup=f"/{self.name}/{name}")
        self.machines.append(machine)
        return machine

    def _neighbour(self) -> Neighbour:
        neighbour = self.machine("neighbour")
        neighbour.run(
            f"ip addr add {OUTSIDE}/32 dev lo && ip -6 addr add {OUTSIDE6}/128 dev lo"
            " && sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        )
        names = [
            f"{name}={address}"
            for name, addresses in {
                "example.test": (OUTSIDE, OUTSIDE6),
                "neighbour.test": (neighbour.address, neighbour.address6),
            }.items()
            for address in addresses
        ]
        # of which the server knows one family, and fails for the other
        names += [f"{how}.test={answer}" for how in ("nxdomain", "servfail") for answer in (OUTSIDE, how)]
        neighbour.serve_names(names)
        return neighbour


class Neighbour(Machine):
    """A plain machine on the wire: "another machine" for the hosts, their gateway and their upstream resolver."""

    address = ""
    address6 = ""

    def serve_names(self, names: list[str]) -> None:
        """Answer DNS queries: `names` are NAME=ADDRESS words, all other names do not exist."""
        server = self.popen(
            [sys.executable, "-IS", str(_HERE / "dns_server.py"), *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.children.append(server)
        assert server.stdout
        with server.stdout:
            if server.stdout.readline() != "ready\n":
                raise CommandError("the lab's DNS server does not start")

    def page(self, url: str, *, timeout: float = 2) -> str:
        """The body at a URL, '' where there is none."""
        return self.run(["curl", "-gsS", "-m", str(timeout), url], check=False).stdout


class Host(Neighbour):
    """A machine with a Docker engine at default paths: /run/docker.sock, /etc/docker/daemon.json, docker.service."""

    neighbour: Neighbour
    wire: Machine
    state = ""
    """What a recording calls that which the tool is asked about."""

    def __init__(self, name: str, engine: str, **options: Any) -> None:
        self.engine = engine
        super().__init__(name, **options)

    # --- the service ---

    def play_nftables(self) -> None:
        """Make dockerd a 29 with the nftables backend, which turns no forwarding on by itself: real, or played."""
        self.run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1")
        if packages.real_engine() is None:
            real = next(packages.unpacked("newest").glob("usr/*bin/dockerd"))
            words = [sys.executable, "-IS", str(_HERE / "played29.py"), str(real)]
            self.write("/usr/sbin/dockerd", f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', mode=0o755)

    def install_service(self, *, socket_activated: bool = False) -> None:
        """Put docker.service and the stand-ins for systemctl and journalctl in place; starts nothing."""
        self.socket_activated = socket_activated
        for program in ("systemctl", "journalctl"):
            words = [sys.executable, "-IS", str(_HERE / "systemctl.py"), program]
            self.write(f"/usr/bin/{program}", f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', mode=0o755)
        self.write_unit()

    def write_unit(self, *flags: str) -> None:
        """Write docker.service anew, with these flags of dockerd, and have it read."""
        sockets = ["-H", "fd://"] if self.socket_activated else []
        words = ["/usr/sbin/dockerd", "--cgroup-parent", self.cgroup, *sockets, *flags]
        self.write(UNIT, _UNIT.format(exec_start=shlex.join(words)))
        self.run("systemctl daemon-reload")

    def start_daemon(
        self,
        *flags: str,
        config: dict[str, Any] | str | None = None,
        ip_forward: bool | None = None,
        check: bool = True,
    ) -> Completed:
        """Start dockerd with these flags, daemon.json (None: no such file) and ip_forward; returns when it is ready."""
        if ip_forward is not None:
            self.sysctl("net.ipv4.ip_forward", int(ip_forward))
        if self.engine == packages.NFTABLES and not isinstance(config, str):
            config = {"firewall-backend": "nftables", **(config or {})}
        if config is None:
            self.run("rm -f /etc/docker/daemon.json")
        else:
            self.write("/etc/docker/daemon.json", config if isinstance(config, str) else json.dumps(config, indent=2) + "\n")
        self.write_unit(*flags)
        done = self.run("systemctl start docker", check=False)
        if check and not (done.ok and self.healthy):
            raise CommandError(f"{self.name}: dockerd does not start: {done.stderr}\n{self.log()[-2000:]}")
        return done

    def stop_daemon(self) -> None:
        """Stop dockerd, and with it the containers."""
        self.run("systemctl stop docker")

    def restart_daemon(self, *, check: bool = True) -> Completed:
        """Restart dockerd as its unit file stands now."""
        return self.run("systemctl daemon-reload && systemctl restart docker", check=check)

    def log(self) -> str:
        """All that dockerd has written."""
        return self.read("/var/log/docker.log")

    @property
    def healthy(self) -> bool:
        """Whether the daemon answers."""
        return self.ok("curl -fsS -m 2 --unix-socket /run/docker.sock http://docker/_ping", timeout=10)

    @property
    def version(self) -> str:
        """What the engine calls itself, such as 28.5.2."""
        return str(self.run(["docker", "version", "-f", "{{.Server.Version}}"]).stdout.strip())

    # --- use ---

    def docker(self, arguments: str | list[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run the docker client; a str is split as a shell would, without expansion."""
        words = shlex.split(arguments) if isinstance(arguments, str) else arguments
        return self.run(["docker", *words], timeout=timeout, check=check)

    def load_images(self) -> None:
        """Load net-test and distroless, see images.py."""
        self.docker(["load", "-q", "-i", str(images.archive())])

    def container_pid(self, name: str) -> int:
        """The pid of a container's first process, as the host counts."""
        return int(self.docker(["inspect", "-f", "{{.State.Pid}}", name]).stdout)

    def in_sandbox(self, name: str, command: str, *, check: bool = True, timeout: float = 30) -> Completed:
        """Run a shell command with the host's programs in a container's network namespace."""
        entering = ["nsenter", "-t", str(self.container_pid(name)), "-n", "sh", "-c", command]
        return self.run(entering, check=check, timeout=timeout)

    def doctor(
        self,
        arguments: str | list[str],
        *,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Doctor:
        """Run dockernet-doctor on this host, as its operator would; behind a prefix such as `setpriv …` with fewer rights."""
        words = shlex.split(arguments) if isinstance(arguments, str) else arguments
        command = [*prefix, sys.executable, *recorder.words(self.name, self.state), "-m", "dockernet_doctor", *words]
        done = self.run(command, timeout=timeout, check=False, env=env, stdin=stdin)
        return Doctor(done.rc, done.stdout, done.stderr)


_UNIT = """\
[Unit]
Description=Docker Application Container Engine
Requires=docker.socket

[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart={exec_start} $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
KillMode=process

[Install]
WantedBy=multi-user.target
"""

# Outlives the lab's owner: when the pipe closes, the machines end, and what they leave in /sys/fs/cgroup goes too.
_KEEPER = """
trap '' INT TERM HUP
read -r _
tries=0
while [ $tries -lt 200 ]; do
  left=
  for dir in /sys/fs/cgroup/$1 /sys/fs/cgroup/*/$1; do
    [ -d "$dir" ] || continue
    find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$dir" ] || left=1
  done
  [ -n "$left" ] || exit 0
  tries=$((tries + 1))
  sleep 0.1
done
"""
