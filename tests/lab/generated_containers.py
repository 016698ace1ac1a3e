"""Containers with options of `docker run` drawn at random: what `recreate` must bring back, option by option."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

ODD = (
    'ENTRYPOINT ["sleep"]',
    'CMD ["1000"]',
    'HEALTHCHECK --interval=7s --retries=4 CMD ["test","a b"]',
    "VOLUME /image",
    "EXPOSE 9/udp 70/tcp",
    'ENV ONE=1 TWO="2 two"',
    'LABEL image="its own"',
    "USER 0:7",
    "WORKDIR /tmp",
)
"""An image that has a default for all that an image may have."""

REFUSED = {
    "--cpu-rt-period": "the kernel has no real-time groups",
    "--cpu-rt-runtime": "the kernel has no real-time groups",
    "--gpus": "the lab has none",
    "--isolation": "of Windows",
    "--platform": "which image is meant, not kept of a container",
    "--pull": "not kept of a container",
    "--quiet": "not kept of a container",
    "--detach-keys": "not kept of a container",
    "--detach": "not kept of a container",
    "--sig-proxy": "not kept of a container",
    "--attach": "not kept of a container",
    "--cidfile": "not kept of a container",
    "--disable-content-trust": "not kept of a container",
    "--name": "every container has one",
    "--storage-opt": "the lab's storage has no quota",
    "--use-api-socket": "experimental",
    "--kernel-memory": "gone since 23",
    "--blkio-weight-device": "the lab's kernel has no weights of devices",
    "--label-file": "labels, for the engine",
    "--env-file": "variables, for the engine",
    "--userns": "host is the default where the daemon has no other",
}
"""Options that are not drawn, and why."""

AWKWARD = "a b'c\"d$HOME `id`\\n\n\t{{.Id}} é *"


_OWN_STACK = """
    --hostname --domainname --dns --dns-search --dns-option --add-host --expose --mac-address --uts --sysctl
"""


class Drawn:
    """The words of one `docker create`, with an image and a command."""

    def __init__(self, number: int, seed: int, *, cgroup: str, block: str, refused: frozenset[str]) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self.name = f"c{number}"
        self.options: list[str] = []
        self.odd = self._random.random() < 0.4
        self.shares = False
        self._cgroup, self._block, self._refused = cgroup, block, refused
        groups = [*self._groups()]
        self.take(*self._network(number))
        for group in self._random.sample(groups, self._random.randint(0, 14)):
            words = self._random.choice([choice for choice in group if self._allowed(choice)] or [()])
            self.take(*words)
        self.command: list[str] = []
        if not self.odd and "--entrypoint" not in self.options and self._random.random() < 0.4:
            self.command = ["sleep", "1000"] if self._random.random() < 0.5 else ["sh", "-c", "exec sleep 1000", AWKWARD, ""]
        elif self.odd or "--entrypoint" in self.options:
            self.command = ["1000"] if "--entrypoint" in self.options or self._random.random() < 0.3 else []

    @property
    def words(self) -> list[str]:
        return ["create", "--name", self.name, *self.options, "odd" if self.odd else "net-test", *self.command]

    @property
    def short(self) -> bool:
        """With the one that is added ten options at most, and nothing that may be a secret but the environment."""
        flags = [word for word in self.options if word.startswith("-")]
        secret = {"-l", "--entrypoint", "--health-cmd", "--annotation"} & set(flags)
        return len(flags) < 10 and not secret and not self.command and AWKWARD not in "".join(self.options)

    def take(self, *words: str) -> None:
        self.options += words

    def _allowed(self, words: Sequence[str]) -> bool:
        flags = {word for word in words if word.startswith("--")}
        own_stack = {
            "--hostname",
            "--domainname",
            "--dns",
            "--dns-search",
            "--dns-option",
            "--add-host",
            "--expose",
            "--mac-address",
        }
        if flags & self._refused or (self.shares and flags & (own_stack | {"--uts", "--sysctl"})):
            return False
        if "-p" in words or "-P" in words:
            return not self.shares and "host" not in self.options and "none" not in self.options
        if "--mac-address" in flags or "--sysctl" in flags:
            return "host" not in self.options and "none" not in self.options
        if "--uts" in flags:
            return not {"--hostname", "--domainname"} & set(self.options)
        if {"--hostname", "--domainname"} & flags:
            return "--uts" not in self.options
        return True

    def _network(self, number: int) -> list[str]:
        kind = self._random.random()
        if kind < 0.35:
            return []
        if kind < 0.75:
            words = ["--network", "app"]
            words += ["--ip", f"10.77.0.{number + 20}"] if self._random.random() < 0.5 else []
            words += ["--ip6", f"fd00:77::{number + 20:x}"] if self._random.random() < 0.3 else []
            words += ["--network-alias", f"www{number}"] if self._random.random() < 0.5 else []
            words += ["--link", "base:shop"] if self._random.random() < 0.2 else []
            return words + (["--link-local-ip", f"169.254.3.{number + 20}"] if self._random.random() < 0.2 else [])
        self.shares = kind >= 0.9
        return ["--network", "container:base" if self.shares else self._random.choice(("host", "none"))]

    def _groups(self) -> Iterator[list[tuple[str, ...]]]:
        """Of each group one entry at most: the entries of one exclude one another."""
        pick = self._random
        port = pick.randint(20000, 60000)
        yield [
            ("-e", "URL=http://a:1/x?y=z#q"),
            ("-e", "URL=http://a", "-e", "QUOTED=a 'b' \"c\" $HOME \\n é"),
            ("-e", "ONE=1"),
        ]
        yield [("-e", "EMPTY="), ("-e", "TWO=2"), ("-e", f"ODD={AWKWARD}"), ("-e", " LEADING=x"), ("-e", "TRAILING=x  ")]
        yield [("-l", "a.b/c=d e"), ("-l", f"odd={AWKWARD}", "-l", "none=")]
        yield [
            ("-p", "80"),
            ("-p", f"{port}:80"),
            ("-p", f"127.0.0.1:{port}:80"),
            ("-p", f"{port}-{port + 3}:80-83/udp"),
            ("-P",),
        ]
        yield [("-p", f"[::1]:{port + 5}:81"), ("-p", f"{port + 5}:81/sctp")]
        yield [("--expose", "7"), ("--expose", "7-10"), ("--expose", "53/udp")]
        yield [("--restart", "always"), ("--restart", "on-failure:3"), ("--restart", "unless-stopped"), ("--rm",)]
        yield [("--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN"), ("--cap-drop", "ALL"), ("--privileged",)]
        yield [("--security-opt", "no-new-privileges"), ("--security-opt", "seccomp=/run/seccomp.json")]
        yield [("--security-opt", "seccomp=unconfined"), ("--security-opt", "systempaths=unconfined")]
        yield [("--memory", "64m"), ("--memory", "64m", "--memory-swap", "100m"), ("--memory", "123456789")]
        yield [("--memory-reservation", "16m"), ("--shm-size", "8m"), ("--shm-size", "1g"), ("--oom-score-adj", "-5")]
        yield [("--memory-swappiness", "0"), ("--oom-kill-disable", "--memory", "32m"), ("--pids-limit", "99")]
        yield [("--cpus", "0.5"), ("--cpus", "1.25"), ("--cpu-period", "50000", "--cpu-quota", "20000")]
        yield [("--cpu-shares", "512"), ("--cpuset-cpus", "0"), ("--cpuset-mems", "0"), ("--blkio-weight", "300")]
        yield [("--ulimit", "nofile=512:1024", "--ulimit", "core=0"), ("--ulimit", "nproc=99")]
        yield [("-v", "named:/named"), ("-v", "/run:/host/run:ro"), ("-v", "/anonymous"), ("-v", "named:/data:nocopy")]
        yield [("--mount", "type=tmpfs,dst=/cache,tmpfs-size=1048576,tmpfs-mode=1770"), ("--mount", "type=volume,dst=/fresh")]
        yield [("--mount", "type=bind,src=/run,dst=/bound,readonly"), ("--mount", "type=volume,src=other,dst=/o,volume-nocopy")]
        yield [("--tmpfs", "/scratch"), ("--tmpfs", "/scratch:size=1m,mode=700"), ("--volumes-from", "base")]
        yield [("--volume-driver", "local"), ("--read-only",)]
        yield [("--device", "/dev/null:/dev/zilch:r"), ("--device", "/dev/zero"), ("--device-cgroup-rule", "c 1:3 r")]
        yield [(f"--device-{verb}-bps", f"{self._block}:1mb") for verb in ("read", "write")]
        yield [(f"--device-{verb}-iops", f"{self._block}:1000") for verb in ("read", "write")]
        yield [("--user", "0:0"), ("--user", "5"), ("--group-add", "7", "--group-add", "8")]
        yield [("--workdir", "/www"), ("--entrypoint", "sleep"), ("--entrypoint", "/bin/sleep")]
        yield [("--stop-signal", "TERM"), ("--stop-timeout", "0"), ("--stop-timeout", "3")]
        yield [("--hostname", "shop"), ("--hostname", "shop", "--domainname", "example.test"), ("--uts", "host")]
        yield [("--add-host", "db:10.1.2.3"), ("--add-host", "gate:host-gateway"), ("--add-host", "six:fd00::1")]
        yield [("--dns", "10.9.9.9", "--dns-search", "example.test"), ("--dns-option", "ndots:2")]
        yield [("--mac-address", f"02:11:22:33:44:{pick.randint(16, 99)}")]
        yield [
            ("--log-opt", "max-size=1m"),
            ("--log-driver", "none"),
            ("--log-driver", "local"),
            ("--log-opt", "tag={{.Name}}"),
        ]
        yield [("--ipc", "shareable"), ("--ipc", "host"), ("--ipc", "none"), ("--ipc", "container:base")]
        yield [("--pid", "host"), ("--pid", "container:base"), ("--cgroupns", "host"), ("--cgroupns", "private")]
        yield [("--cgroup-parent", f"{self._cgroup}/own"), ("--runtime", "runc")]
        yield [("--init",), ("--init=false",)]
        yield [("--interactive",), ("--tty",), ("--interactive", "--tty")]
        yield [("--sysctl", "net.ipv4.ip_default_ttl=60"), ("--annotation", "a=b c")]
        yield [
            ("--health-cmd", "test 'a b'", "--health-interval", "9s"),
            ("--health-cmd", "true", "--health-timeout", "1500ms", "--health-start-period", "2s", "--health-retries", "9"),
            ("--no-healthcheck",),
            ("--health-start-interval", "3s", "--health-cmd", "true"),
        ]
