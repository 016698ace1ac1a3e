"""Names, paths and tables of a host whose bytes are no text: nothing of them ends a run, and all can be encoded."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.decoding import as_text, is_number, with_whole_pairs
from dockernet_doctor.snapshot import daemon, daemon_files, nfnetlink, procnet
from dockernet_doctor.snapshot import host as host_reader
from dockernet_doctor.snapshot.daemon_json import parse_daemon_json
from dockernet_doctor.snapshot.model import BlindSpot


@given(st.binary())
def test_bytes_and_what_python_makes_of_them_are_the_same_text(data: bytes) -> None:
    text = as_text(data)
    assert text == as_text(os.fsdecode(data))
    assert as_text(text.encode()) == text


@given(st.text(st.characters()))
def test_any_text_can_be_encoded(text: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(as_text(text + "\ud800")))


@pytest.mark.parametrize("text", ["²", "٣", "", "-1", "1" * 5000, "1\n"])
def test_what_is_no_number_of_the_kernel(text: str) -> None:
    assert not is_number(text)
    assert is_number("1234567890")


JSON = {
    r'"a\ud800b"': "a\ufffdb",
    r'"\udc80\ud83d\ude00"': "\ufffd\U0001f600",
    r'"\ud800\ud83d\ude00"': "\ufffd\U0001f600",
    r'"\\ud800"': r"\ud800",
    r'"\\\ud800"': "\\\ufffd",
}


@pytest.mark.parametrize("written", JSON)
def test_half_a_pair_is_read_as_dockerd_reads_it(written: str) -> None:
    (key,) = parse_daemon_json(f'{{"data-root": {written}}}').keys
    assert key.value == JSON[written]
    assert len(with_whole_pairs(written)) == len(written)


def test_names_of_files_and_targets_of_links(tmp_path: Path) -> None:
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.conf")).write_bytes(b"net.ipv4.ip_forward = 0\n# \xfe\n")
    (found,) = host_reader.read_sysctl_settings(str(tmp_path))
    assert found.file == r"/etc/sysctl.d/\xff.conf"
    assert msgspec.json.encode(found)
    link = tmp_path / "resolv.conf"
    link.symlink_to(os.fsdecode(b"../run/\xff/resolv.conf"))
    assert host_reader._link_target(str(link)) == r"../run/\xff/resolv.conf"


def test_names_of_interfaces_that_look_like_separators() -> None:
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n"
    text = head + as_text(b"    lo:       0       0\na:b\xff: 1 2\nc\x1cd: 1 2\n")
    assert [link.name for link in procnet.parse_dev(text)] == ["lo", r"a:b\xff", "c\x1cd"]
    line = "e\x1cth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    (route,) = procnet.parse_route(f"Iface\tDestination\n{line}")
    assert (route.link, route.gateway) == ("e\x1cth0", "192.168.0.1")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def test_a_chain_whose_name_is_no_text_is_left_to_the_program() -> None:
    def chain(name: bytes) -> bytes:
        return bytes([2, 0, 0, 0]) + _attribute(1, b"nat\0") + _attribute(3, name + b"\0")

    assert nfnetlink.nat_as_text([chain(b"DOCKER_OUTPUT")], []) is not None
    for name in (b"a\n-A b", b"a b", b"\xc2\x85"):
        assert nfnetlink.nat_as_text([chain(name)], []) is None


INSIDE = rb"""
import ctypes, subprocess, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET
    sys.exit(77)
subprocess.run(["ip", "link", "add", b"\xffa\xe2\x80\xa8", "type", "bridge"], check=True)
import msgspec
from dockernet_doctor.snapshot.rtnetlink import read_stack
reading = read_stack()
assert reading.problems == (), reading.problems
sys.stdout.buffer.write(msgspec.json.encode([link.name for link in reading.stack.links]))
"""


def test_an_interface_of_the_kernel_whose_name_is_no_text() -> None:
    done = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, check=False)
    if done.returncode == 77:
        pytest.skip("no right to make a network namespace")
    assert done.returncode == 0, done.stderr
    assert "\\xffa\u2028" in msgspec.json.decode(done.stdout, type=list[str])


def test_the_name_of_the_host_may_be_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"h\xff"))
    assert msgspec.json.encode(host_reader.read_host().host.hostname) == rb'"h\\xff"'


def test_drop_ins_and_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "docker.service.d"
    folder.mkdir()
    drop_in = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.conf"))
    drop_in.write_bytes(b"[Service]\nEnvironment=A=\xfe\n")
    monkeypatch.setattr(daemon_files, "DIRECTORIES", (str(tmp_path),))
    (found,) = daemon_files._unit_files([])
    assert (found.path, found.readable) == (rf"{folder}/\xff.conf", True)
    assert msgspec.json.encode(found)
    drop_in.unlink()
    drop_in.symlink_to(drop_in.name)
    blind: list[BlindSpot] = []
    (refused,) = daemon_files._unit_files(blind)
    assert (refused.path, refused.readable) == (found.path, False)
    assert msgspec.json.encode(blind)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00\xd8", b'{"a": "\xff"}', rb'{"a": "https://u:p@h/\ud800"}'])
def test_texts_of_the_daemon_s_configuration(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_bytes(data)
    found = daemon_files._read(str(tmp_path / "daemon.json"), "daemon.json", [])
    assert found is not None
    assert msgspec.json.encode(found)
    assert [key.name for key in parse_daemon_json(found.text).keys] == (["a"] if data[:1] == b"{" else [])


def test_arguments_without_measure_are_read_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_bytes(b"dockerd\0--debug\0" + b"x" * (3 << 20))
    words = daemon.strings_of(tmp_path / "cmdline")
    assert words[:2] == [b"dockerd", b"--debug"]
    assert sum(map(len, words)) <= 1 << 20
