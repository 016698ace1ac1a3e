"""A snapshot in a file, with the answers that the network gave: gzip around JSON, `dockernet-doctor/bundle/1`.

Readers ignore names that they do not know and refuse another major version. A bundle comes from strangers: it is read
within bounds, and whatever is wrong with it is a `BundleError` of one line.
"""

from __future__ import annotations

import gzip
import math
import re
import sys
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dockernet_doctor.files import write_file
from dockernet_doctor.probe.model import RESULTS, Answer
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import podman
from dockernet_doctor.snapshot.model import BUNDLE_SCHEMA, BY_ROOT, Record, Snapshot
from dockernet_doctor.snapshot.own_container import COMMAND
from dockernet_doctor.snapshot.values import ensure_address, is_moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

MAGIC = b"\x1f\x8b\x08"  # of gzip
COMPRESSED_LIMIT = 64 << 20  # bytes
PLAIN_LIMIT = 512 << 20
PSEUDONYMS = "names, IP and MAC addresses: replaced by pseudonyms, subnets kept"  # said in `removed`

_decoder: msgspec.json.Decoder[Bundle] | None = None
_building = threading.Lock()


class BundleError(Exception):
    """A file is no bundle, or not one that this version reads; str() is a sentence for the operator."""


class Bundle(Record, frozen=True, kw_only=True):
    schema: str = BUNDLE_SCHEMA
    snapshot: Snapshot
    answers: tuple[Answer, ...] = ()


class _Head(msgspec.Struct):
    schema: str = ""


def load(path: str) -> Bundle:
    """The bundle in a file, or from standard input for "-"; BundleError where it is none."""
    if path == "-":
        return loads(_bounded(sys.stdin.buffer, "standard input"), "standard input")
    try:
        with Path(path).open("rb") as file:
            return loads(_bounded(file, path), path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from error


def loads(data: bytes, name: str) -> Bundle:
    """The bundle in these bytes; `name` says in errors where they came from."""
    if not data:
        raise BundleError(f"{name}: the file is empty, not a bundle of dockernet-doctor")
    plain = data if data[:1] == b"{" else _inflated(data, name)
    try:
        _check_schema(msgspec.json.decode(plain, type=_Head).schema, name)
        bundle = _bundle_decoder().decode(plain)
        _ensure_consistent(bundle)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BundleError(f"{name}: not a bundle of dockernet-doctor, or damaged: {error}") from error
    snapshot = podman.adapted(bundle.snapshot)  # those that were collected before Podman was known
    spots = tuple(
        spot if not spot.remedy or _REMEDY.fullmatch(spot.remedy) else msgspec.structs.replace(spot, remedy="")
        for spot in snapshot.blind_spots
    )
    return msgspec.structs.replace(bundle, snapshot=msgspec.structs.replace(snapshot, source="bundle", blind_spots=spots))


_REMEDY = regex(
    rf"""{BY_ROOT}|ask again|collect it again|give it more: --timeout 2m|mount /proc here, or run where it is
    |run dockernet-doctor on that machine, or give it as --host ssh://USER@HOST
    |run dockernet-doctor where that daemon runs, in its container
    |(?:look inside it|run it on the host, or so): {re.escape(COMMAND)}
    |start the container of dockernet-doctor with --privileged: {re.escape(COMMAND)}
    |run it by hand
    |start it with -v (?P<socket>/[\w./-]+):(?P=socket)|install (?:iptables|nftables|ipset)
    |have fewer than [0-9,]+; sets hold as many addresses as you like""".replace("\n    ", "")
)
"""What this program says of blind spots, where its reader looks for what to type: of a bundle nothing else is shown."""


def dumps(bundle: Bundle) -> bytes:
    """The bytes of a bundle. The same bundle gives the same bytes."""
    # The schema is written although it is a default: readers look for it first.
    body = msgspec.json.encode(bundle)
    return gzip.compress(b'{"schema":"' + BUNDLE_SCHEMA.encode() + b'",' + body[1:], compresslevel=6, mtime=0)


def save(path: str, bundle: Bundle, *, by: float = math.inf) -> None:
    """Writes a bundle to a file of mode 0600, whole or not at all. OSError where that fails, or it is a pipe that nobody has
    read `by` of time.monotonic()."""
    write_file(path, dumps(bundle), mode=0o600, by=by)


def _bundle_decoder() -> msgspec.json.Decoder[Bundle]:
    global _decoder  # noqa: PLW0603 - made once: building it takes longer than reading a bundle
    with _building:
        if _decoder is None:
            _decoder = msgspec.json.Decoder(Bundle)
    return _decoder


def _bounded(file: BinaryIO, name: str) -> bytes:
    data = file.read(COMPRESSED_LIMIT + 1)
    if len(data) > COMPRESSED_LIMIT:
        raise BundleError(f"{name}: larger than {COMPRESSED_LIMIT >> 20} MiB, not a bundle of dockernet-doctor")
    return data


def _inflated(data: bytes, name: str) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(data, PLAIN_LIMIT)
    except zlib.error as error:
        raise BundleError(f"{name}: not a bundle of dockernet-doctor, or damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise BundleError(f"{name}: unpacks to more than {PLAIN_LIMIT >> 20} MiB, which no bundle does")
    if not inflater.eof:
        raise BundleError(f"{name}: the file ends too early; was it copied whole?")
    if inflater.unused_data:
        raise BundleError(f"{name}: something follows the end of the bundle; was it put together of several?")
    return plain


def _ensure_consistent(bundle: Bundle) -> None:
    """ValueError where records that are right by themselves do not make a host: each was looked at when it was decoded."""
    snapshot = bundle.snapshot
    if not is_moment(snapshot.taken_at) or snapshot.taken_at < "1970":
        raise ValueError("the snapshot has no time")
    _ensure_distinct("containers with the id", (container.id for container in snapshot.containers))
    _ensure_distinct("containers named", (container.name for container in snapshot.containers))
    _ensure_distinct("networks with the id", (network.id for network in snapshot.networks))
    for answer in bundle.answers:
        if answer.result not in RESULTS:
            raise ValueError(f"{answer.result[:60]!r} is no answer of a probe")
        if answer.latency_ms is not None and not 0 <= answer.latency_ms < 1e9:
            raise ValueError(f"no answer takes {answer.latency_ms} ms")
        for address in answer.addresses:
            ensure_address("addresses of an answer", address)


def _ensure_distinct(what: str, words: Iterable[str]) -> None:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise ValueError(f"there are two {what} {word[:80]!r}")
        seen.add(word)


def _check_schema(schema: str, name: str) -> None:
    kind, _, major = schema.rpartition("/")
    ours, _, our_major = BUNDLE_SCHEMA.rpartition("/")
    if kind != ours:
        raise BundleError(f"{name}: not a bundle of dockernet-doctor")
    if major != our_major:
        raise BundleError(f"{name}: a bundle of format {major}, while this dockernet-doctor reads format {our_major}")
