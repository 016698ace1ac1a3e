"""The daemon's process and files, as far as they can be had without a daemon, and the store's addresses."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import daemon as daemon_reader
from dockernet_doctor.snapshot.cluster_store import StoreAddress, parse_store_url, read_store
from dockernet_doctor.snapshot.daemon import in_namespace, is_local, read_daemon
from dockernet_doctor.snapshot.daemon_files import read_files, without_secrets


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///var/run/docker.sock", True),
        ("ssh://root@10.0.0.5", False),
        ("tcp://10.0.0.5:2376", False),
        ("tcp://127.0.0.1:9", False),  # a tunnel, as long as no dockerd here says that it listens there
    ],
)
def test_which_daemons_are_of_this_host(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_a_socket_of_another_process_is_no_daemon_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        daemon, blind = read_daemon(f"unix://{path}", time.monotonic() + 60)
    assert daemon.pid is None
    assert not daemon.readable
    assert blind == []


def test_a_process_may_call_itself_anything() -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'dockerd\\xff'); print(flush=True); input()"
    words: list[str | bytes] = [sys.executable, "-c", rename, b"--label=\xfe"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = daemon_reader._process(child.pid)
        child.communicate(b"\n")
    assert process is not None
    assert process.name == r"dockerd\xff"
    assert process.arguments[-1] == r"--label=\xfe"


THREADS = {
    "here": ([1, 1, 1], True),
    "its first thread went into an overlay's sandbox": ([7, 1, 8], True),  # dockerd 20.10 with a cluster store
    "elsewhere": ([7, 7, 8], False),
}


@pytest.mark.parametrize(("namespaces", "seen"), THREADS.values(), ids=THREADS)
def test_the_namespace_of_a_process_is_that_of_any_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespaces: list[int], seen: bool
) -> None:
    monkeypatch.setattr(daemon_reader, "_PROC", tmp_path)
    threads = {f"100/task/{100 + number}": inode for number, inode in enumerate(namespaces)}
    for folder, inode in {"self": 1, "100": namespaces[0], **threads}.items():
        (tmp_path / folder / "ns").mkdir(parents=True)
        (tmp_path / folder / "ns/net").symlink_to(f"net:[{inode}]")
    assert in_namespace(100, "net") is seen
    assert in_namespace(101, "net") is None  # ended, or of another pid namespace


def test_a_rootless_daemon_s_file_is_in_its_user_s_home(tmp_path: Path) -> None:
    folder = tmp_path / ".config/docker"
    folder.mkdir(parents=True)
    (folder / "daemon.json").write_text('{"proxies": {"http-proxy": "http://me:hunter2@proxy:3128"}}')
    (file,), blind = read_files(home=tmp_path)
    assert blind == []
    assert file.path == str(folder / "daemon.json")
    assert not file.final_newline
    assert "hunter2" not in file.text
    assert "proxy:3128" in file.text


def test_a_daemon_json_in_utf_16_is_read_as_the_engine_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / ".config/docker"
    folder.mkdir(parents=True)
    (folder / "daemon.json").write_text('{"mtu": 1400}', encoding="utf-16")
    (file,), _ = read_files(home=tmp_path)
    assert file.text == '{"mtu": 1400}'


SECRETS = [
    ('Environment="HTTP_PROXY=http://me:hunter2@proxy:3128"', "proxy:3128"),
    ("ExecStart=/usr/bin/dockerd --log-opt splunk-token=hunter2 --bip=10.1.0.1/24", "--bip=10.1.0.1/24"),
    ('{"log-opts": {"splunk-token": "hunter2", "max-size": "10m"}}', '"max-size": "10m"'),
    ('DOCKER_OPTS="--cluster-store=etcd://root:hunter2@10.0.0.5:2379 --icc=false"', "10.0.0.5:2379"),
    ("REGISTRY_PASSWORD=hunter2\nNEXT=1", "NEXT=1"),
]


@pytest.mark.parametrize(("text", "stays"), SECRETS, ids=[s[0][:20] for s in SECRETS])
def test_secrets_of_files_do_not_stay(text: str, stays: str) -> None:
    cleaned = without_secrets(text)
    assert "hunter2" not in cleaned
    assert stays in cleaned
    assert cleaned.count("\n") == text.count("\n")


def test_options_that_look_random_stay() -> None:
    text = "ExecStart=/usr/sbin/dockerd --default-address-pool base=10.201.0.0/16,size=24 --cluster-advertise eth1:2376 $OPTS"
    assert without_secrets(text) == text


URLS = [
    ("etcd://10.0.0.5:2379", ("etcd", (("10.0.0.5", 2379),), "")),
    ("zk://a:2181,b:2181/docker", ("zk", (("a", 2181), ("b", 2181)), "docker")),
    ("10.0.0.5:2379", ("", (("10.0.0.5", 2379),), "")),
    ("consul://[fd00::5]:8500", ("consul", (("fd00::5", 8500),), "")),
    ("etcd://10.0.0.5", ("etcd", (("10.0.0.5", None),), "")),
    ("etcd://10.0.0.5:port", ("etcd", (("10.0.0.5", None),), "")),
]


@pytest.mark.parametrize(("url", "parsed"), URLS, ids=[u[0] for u in URLS])
def test_store_addresses(url: str, parsed: tuple[str, tuple[tuple[str, int | None], ...], str]) -> None:
    scheme, addresses, path = parse_store_url(url)
    assert (scheme, tuple((a.host, a.port) for a in addresses), path) == parsed
    assert all(isinstance(a, StoreAddress) for a in addresses)


def test_a_closed_port_is_told_from_one_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        open_port, closed_port = silent.getsockname()[1], unused.getsockname()[1]
        store = read_store(f"etcd://127.0.0.1:{open_port},127.0.0.1:{closed_port}", time.monotonic() + 2)
    answers = {node.port: (node.connect, node.kind) for node in store.nodes}
    assert answers == {open_port: ("open", ""), closed_port: ("refused", "")}
    assert store.networks is None
