"""The last look over a finished bundle: what still looks like a secret is masked, and its place is named.

Each reader takes secrets out of what it reads. This finds what a reader forgot, in every string that is no name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from dockernet_doctor.snapshot import daemon_files, firewall
from dockernet_doctor.snapshot.model import FirewallDump, TextFile
from dockernet_doctor.snapshot.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockernet_doctor.snapshot.bundle import Bundle

T = TypeVar("T")

# Names and ids, which a diagnosis compares with one another: a name is no secret, though one may look like it.
_NAME_FIELDS = """
    addresses alias aliases auxiliary cap_add cause compose_network compose_project config_files container container_id created
    depends_on destination dns_names domainname driver endpoint_id executable fact file finished_at hides host hostname id image
    image_id key links mac machine_id members mounts name names namespace network network_id networks node_id path peers project
    proxies remote_managers removed search service service_id started_at taken_at task virtual_ips what working_dir
"""
_NAMES = frozenset(_NAME_FIELDS.split())


def masked(bundle: Bundle) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle without what still looks like a secret, and where that was ("log_tail of web"), which `removed` says too."""
    places: dict[str, None] = {}
    cleaned = _cleaned(bundle, "", "the bundle", places)
    if not places:
        return bundle, ()
    removed = (*cleaned.snapshot.removed, *places)
    return replace(cleaned, snapshot=replace(cleaned.snapshot, removed=removed)), tuple(places)


def _cleaned(value: T, field: str, owner: str, places: dict[str, None]) -> T:
    kept: Any = value
    if isinstance(value, TextFile | FirewallDump):
        text = _text(value)
        kept = replace(value, text=text) if text != value.text else value
        owner, field = (value.path, "a line") if isinstance(value, TextFile) else (value.tool, "a comment")
    elif isinstance(value, msgspec.Struct):
        owner = next((name for key in ("name", "path", "what") if (name := getattr(value, key, ""))), owner)
        changes = {key: new for key, old in _fields(value) if (new := _cleaned(old, key, owner, places)) is not old}
        return replace(value, **changes) if changes else value
    elif isinstance(value, str):
        kept = value if field in _NAMES else scrub(value, ids=True)
    elif isinstance(value, tuple):
        parts = [_cleaned(item, field, owner, places) for item in value]
        return tuple(parts) if any(new is not old for new, old in zip(parts, value, strict=True)) else value  # type: ignore[return-value]
    elif isinstance(value, dict):
        items = {key: _cleaned(item, field, owner, places) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value  # type: ignore[return-value]
    if kept != value:
        places[f"{field} of {owner}"] = None
        return kept  # type: ignore[no-any-return]
    return value


def _fields(record: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    return ((key, getattr(record, key)) for key in record.__struct_fields__)


def _text(record: TextFile | FirewallDump) -> str:
    if isinstance(record, FirewallDump):
        return firewall.without_secrets(record.text)
    if record.kind == "compose":
        return "\n".join(scrub(line) for line in record.text.split("\n"))
    return daemon_files.without_secrets(record.text, record.kind)
