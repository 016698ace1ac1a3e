from __future__ import annotations

import gzip
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.bundle import Bundle, BundleError, dumps, load, loads, pseudonymise, save
from dockernet_doctor.snapshot.model import Snapshot

from .replay import ENGINES, recording

if TYPE_CHECKING:
    from pathlib import Path


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
    text = b'{"schema":"dockernet-doctor/bundle/1","new":1,"snapshot":{"name":"h","taken_at":"","endpoint":"","new":[]}}'
    assert loads(text, "x").snapshot.name == "h"


GOOD = dumps(Bundle(snapshot=Snapshot(name="h", taken_at="", endpoint="")))


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
    ],
    ids=["empty", "zip", "no-schema", "report", "later", "nothing", "wrong-type", "cut", "flipped", "nested", "no-text"],
)
def test_what_is_no_bundle_is_said_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said) as caught:
        loads(data, "some file")
    assert str(caught.value).startswith("some file: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_one_that_unpacks_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="No such file"):
        load(str(tmp_path / "none"))
    monkeypatch.setattr(bundle, "PLAIN_LIMIT", 1 << 20)
    with pytest.raises(BundleError, match="unpacks to more than 1 MiB"):
        loads(gzip.compress(b"{" + b" " * (2 << 20)), "bomb")


def test_pseudonyms_leave_no_address_and_every_relation() -> None:
    made = recorded()
    plain = msgspec.json.encode(made).decode()
    mapped = pseudonymise(made)
    text = msgspec.json.encode(mapped).decode()
    for real in ("172.30.0.9", "172.30.0.128/25", "10.99.0.3"):
        assert real in plain
        assert f'"{real}"' not in text
    web = next(item for item in mapped.snapshot.containers if item.name == "web")
    app = next(item for item in mapped.snapshot.networks if item.name == "app")
    address = next(endpoint.ipv4 for endpoint in web.endpoints if endpoint.network == "app")
    assert address is not None
    assert address in [member.ipv4 for member in app.members]
    assert web.sandbox is not None
    assert address in [item.address for item in web.sandbox.stack.addresses]
    assert app.subnets[0].subnet.endswith(".0/24")
    assert address.rpartition(".")[0] == app.subnets[0].subnet.rpartition(".")[0]
    assert mapped.answers[0].probe.address == address
    assert "pseudonyms" in mapped.snapshot.removed[-1]
