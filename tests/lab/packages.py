"""What the lab runs: Docker engines and cluster stores from Debian suites, unpacked beside the machine's own packages.

Nothing of the machine's package state is touched by `unpacked`; only `install_machine_packages` installs anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

ENGINES = ("oldest", "middle", "newest")
NFTABLES = "nftables"
"""Docker 29 with the nftables backend: played by `played29.py` on the newest engine, or real where LAB_DOCKERD has one."""

PODMANS = ("podman4", "podman5")
"""Podmans by their generation, for a host that has no Docker, or for one beside it; see podman.py."""

# Real servers, with all the libraries they are linked to: servers.py makes images of them.
_SERVERS = (
    "nginx", "haproxy", "mosquitto", "dnsmasq-base", "redis-tools", "postgresql-15", "libc6", "libpcre2-8-0", "libssl3",
    "zlib1g", "libcrypt1", "liblua5.3-0", "libsystemd0", "libcap2", "libopentracing-c-wrapper0", "libopentracing1",
    "libstdc++6", "libgcc-s1", "libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libzstd1", "libcjson1",
    "libdlt2", "libmosquitto1", "libwrap0", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3",
    "libkrb5support0", "libcom-err2", "libkeyutils1", "libdbus-1-3", "libidn2-0", "libunistring2",
    "libnetfilter-conntrack3", "libnfnetlink0", "libnftables1", "libnftnl11", "libmnl0", "libnettle8", "libhogweed6",
    "libgmp10", "libjansson4", "libxtables12", "libjemalloc2", "liblzf1", "liblua5.1-0", "lua-cjson", "lua-bitop",
    "libatomic1", "libaudit1", "libcap-ng0", "libpq5", "libicu72", "libxml2", "libldap-2.5-0", "libsasl2-2", "libpam0g",
    "libuuid1", "libgnutls30", "libp11-kit0", "libtasn1-6", "libffi8",
)  # fmt: skip

_PODMAN = (
    "podman",
    "conmon",
    "crun",
    "netavark",
    "aardvark-dns",
    "golang-github-containers-common",
    "catatonit",
    "libseccomp2",
)

# What each tree holds: (suite, Debian packages). An engine is named by its age, since suites move on.
TREES: dict[str, tuple[str, tuple[str, ...]]] = {
    "oldest": ("bookworm", ("docker.io", "containerd", "tini")),
    "middle": ("trixie", ("docker.io", "docker-cli", "containerd", "tini")),
    "newest": ("sid", ("docker.io", "docker-cli", "containerd", "tini")),
    "podman4": ("bookworm", (*_PODMAN, "libglib2.0-0", "libgpgme11", "libsubid4", "libyajl2", "libassuan0", "libpcre2-8-0")),
    "podman5": (
        "sid",
        (
            *_PODMAN,
            "libglib2.0-0t64",
            "libgpgme45",
            "libassuan9",
            "libsubid6",
            "libsqlite3-0",
            "libblake3-0",
            "libjson-c5",
            "libpcre2-8-0",
            "libc6",
        ),
    ),
    "runc": ("bookworm", ("runc", "tini")),  # those of later suites want a newer glibc
    "client": ("sid", ("docker-cli", "docker-compose")),  # older clients do not know newer flags
    "busybox": ("bookworm", ("busybox-static",)),
    "etcd": ("bookworm", ("etcd-server",)),
    "sshd": ("bookworm", ("openssh-server", "openssh-client")),
    "redis": ("bookworm", ("redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0", "lua-cjson", "lua-bitop", "libatomic1")),
    "servers": ("bookworm", _SERVERS),
    "zookeeper": (
        "bookworm",
        (
            "libzookeeper-java",
            "libcommons-cli-java",
            "libcommons-io-java",
            "libdropwizard-metrics-java",
            "libjackson2-annotations-java",
            "libjackson2-core-java",
            "libjackson2-databind-java",
            "libnetty-java",
            "libslf4j-java",
            "libsnappy-java",
            "libsnappy1v5",
            "libsnappy-jni",
            "liblog4j1.2-java",
            "libjetty9-java",
            "libservlet-api-java",
        ),
    ),
    "consul": ("bullseye", ("consul",)),
}

# Programs that a lab host runs, and the Debian package of each. The libraries are those that dockerd is linked to.
_MACHINE_PROGRAMS = {
    "nmap": "nmap",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "nc.openbsd": "netcat-openbsd",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ps": "procps",
    "curl": "curl",
    "unshare": "util-linux",
    "mount": "mount",
    "java": "default-jre-headless",  # zookeeper
    "rootlesskit": "rootlesskit",
    "slirp4netns": "slirp4netns",
    "newuidmap": "uidmap",
    "tar": "tar",
    "xargs": "findutils",
    "patch": "patch",
    "ufw": "ufw",
    "debootstrap": "debootstrap",
    "chromium": "chromium",  # opens the HTML reports: tests/unit/report/test_browser.py
}
_MACHINE_LIBRARIES = {"libdevmapper.so.1.02.1": "libdevmapper1.02.1", "libseccomp.so.2": "libseccomp2"}


class PackagesError(Exception):
    """Why an engine, a store or a tool cannot be had here, as one sentence."""


def engine_tree(engine: str) -> list[Path]:
    """The unpacked trees an `engine` runs from, first wins: the newest client, bookworm's runc, the engine itself."""
    if engine == NFTABLES:
        given = real_engine()
        return [given] if given else engine_tree("newest")
    if engine in PODMANS:
        return [unpacked(engine)]
    if engine not in ENGINES:
        raise ValueError(f"no engine {engine!r}: {', '.join((*ENGINES, NFTABLES, *PODMANS))}")
    return [unpacked(name) for name in ("client", "runc", engine)]


def real_engine() -> Path | None:
    """A tree with the programs of LAB_DOCKERD, the folder that Docker's static archive of a 29 unpacks to (dockerd, docker,
    containerd, runc, docker-proxy, …); None where the variable is not set. Raises PackagesError."""
    given = os.environ.get("LAB_DOCKERD", "")
    if not given:
        return None
    folder = Path(given).resolve()
    if not (folder / "dockerd").is_file():
        raise PackagesError(f"LAB_DOCKERD: there is no dockerd in {folder}")
    version = f"{folder} {(folder / 'dockerd').stat().st_mtime_ns}"
    target = cache_dir() / f"given-{zlib.crc32(version.encode()):08x}"
    with _locked(target.with_suffix(".lock")):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as scratch:
                programs = Path(scratch, "tree/usr/bin")
                shutil.copytree(folder, programs)
                (programs.parent / "sbin").mkdir()
                (programs / "dockerd").rename(programs.parent / "sbin/dockerd")
                Path(scratch, "tree").chmod(0o755)
                Path(scratch, "tree").rename(target)
    return target


def unpacked(name: str) -> Path:
    """The directory of an unpacked tree, fetched at the first call; safe beside other processes doing the same.

    Raises PackagesError.
    """
    suite, packages = TREES[name]
    target = cache_dir() / f"{name}-{zlib.crc32(repr(TREES[name]).encode()):08x}"
    if target.is_dir():
        return target
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not target.is_dir():
            _fetch(suite, packages, target)
    return target


def root(suite: str) -> Path:
    """A small Debian system of `suite` with iptables and nft, and without Python, by debootstrap; made once, some minutes.

    Raises PackagesError.
    """
    target = cache_dir() / f"root-{suite}"
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not target.is_dir():
            mirror = re.search(r"https?://\S+", _machine_source()[1])
            assert mirror
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as scratch:
                tree = Path(scratch, "tree")
                words = ["debootstrap", "--variant=minbase", "--include=iptables,nftables", suite, str(tree), mirror[0]]
                done = subprocess.run(words, text=True, capture_output=True)
                if done.returncode:
                    raise PackagesError(f"debootstrap {suite}: {done.stdout.strip()[-300:]}")
                tree.rename(target)
    return target


def cache_dir() -> Path:
    """Where downloads are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "dockernet-doctor-lab"


def busybox() -> Path:
    """A statically linked busybox, the machine's own or unpacked."""
    for candidate in ("/usr/bin/busybox", "/bin/busybox"):
        if Path(candidate).exists() and b"ld-linux" not in Path(candidate).read_bytes():
            return Path(candidate)
    return next(unpacked("busybox").glob("**/bin/busybox"))


def missing_machine_packages() -> list[str]:
    """Debian packages whose program or library is not on this machine."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    missing = [package for program, package in _MACHINE_PROGRAMS.items() if not shutil.which(program, path=path)]
    libraries = [package for library, package in _MACHINE_LIBRARIES.items() if not _has_library(library)]
    return sorted({*missing, *libraries})


def install_machine_packages() -> None:
    """Install what is missing with apt-get, starting no daemon. Needs root. Raises PackagesError."""
    missing = missing_machine_packages()
    if not missing:
        return
    if os.geteuid() != 0:
        raise PackagesError(f"root is needed to install {', '.join(missing)}")
    if not shutil.which("apt-get"):
        raise PackagesError(f"no apt-get here to install {', '.join(missing)}")
    with _no_daemon_starts():
        _apt(["update"])
        _apt(["install", "-y", "--no-install-recommends", *missing])
    if still := missing_machine_packages():
        raise PackagesError(f"apt-get installed {', '.join(still)} and its program is still not there")


def _has_library(name: str) -> bool:
    return any(next(Path(root).glob(f"{depth}{name}"), None) for root in ("/lib", "/usr/lib") for depth in ("", "*/"))


@contextlib.contextmanager
def _no_daemon_starts() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def _fetch(suite: str, packages: tuple[str, ...], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as scratch:
        options = _suite_options(suite)
        debs, tree = Path(scratch, "debs"), Path(scratch, "tree")
        debs.mkdir()
        _apt([*options, "download", *packages], cwd=debs)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, tree], check=True, capture_output=True)
        tree.chmod(0o755)
        tree.rename(target)


def _suite_options(suite: str) -> list[str]:
    """Options that point apt at another suite, its package lists fetched once and kept apart from the machine's."""
    root = cache_dir() / "apt" / suite
    (root / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (root / "lists/partial").mkdir(parents=True, exist_ok=True)
    source = root / f"suite{_source_suffix()}"
    options = [
        f"-oDir::Etc::sourcelist={source}",
        "-oDir::Etc::sourceparts=/dev/null",
        f"-oDir::State::lists={root}/lists",
        f"-oDir::Cache={root}/cache",
        "-oAcquire::Languages=none",
        "-oAPT::Sandbox::User=root",
    ]
    fresh = root / "updated"
    with _locked(root / "lock"):
        if not fresh.exists() or time.time() - fresh.stat().st_mtime > 3600:
            source.write_text(_suite_source(suite))
            _apt([*options, "update"])
            fresh.touch()
    return options


def _source_suffix() -> str:
    return ".sources" if _machine_source()[0] == "deb822" else ".list"


def _suite_source(suite: str, etc: Path = Path("/etc/apt")) -> str:
    kind, text = _machine_source(etc)
    if kind == "deb822":
        return re.sub(r"(?m)^Suites:.*$", f"Suites: {suite}", re.sub(r"(?m)^Components:.*$", "Components: main", text))
    return re.sub(r"^(deb\s+(?:\[[^\]]*\]\s+)?\S+\s+).*$", rf"\g<1>{suite} main", text)


def _machine_source(etc: Path = Path("/etc/apt")) -> tuple[str, str]:
    """The first stanza (deb822) or `deb` line (one-line) of the machine's own Debian sources."""
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            text = "\n".join(lines).strip() + "\n"
            if re.search(r"(?m)^Types:.*\bdeb\b", text) and re.search(r"(?m)^URIs:.*debian/?\s*$", text):
                return "deb822", text
    lists = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for path in lists:
        for line in path.read_text().splitlines() if path.exists() else []:
            if re.match(r"deb\s+(\[[^\]]*\]\s+)?\S+debian/?\s", line):
                return "one-line", line + "\n"
    raise PackagesError("the engines come from Debian suites, and this machine has no Debian package source")


def _apt(arguments: list[str], cwd: Path | None = None, tries: int = 3) -> None:
    """Run apt-get, again after a failure: mirrors have bad moments. Raises PackagesError."""
    command = ["apt-get", "-qq", "-oAcquire::Retries=3", "-oDPkg::Lock::Timeout=120", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    output = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(2 * attempt)
        try:
            done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True)
        except FileNotFoundError:
            raise PackagesError("the engines come from Debian packages, and there is no apt-get here") from None
        output = done.stdout + done.stderr
        # `update` ends with 0 though a mirror did not answer, and says so only in a warning
        if done.returncode == 0 and "Failed to fetch" not in output:
            return
        print(f"apt-get {' '.join(arguments[-3:])} failed: {output[-400:]}", file=sys.stderr)
    raise PackagesError(f"apt-get {arguments[-1]} failed {tries} times: {output.strip()[-300:]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
