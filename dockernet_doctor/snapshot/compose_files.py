"""The compose files that containers were made from, as far as a change to them must know them.

Whatever is not of the network is masked, and every line stays where it is, so that a change can name lines of the file itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import trusted
from dockernet_doctor.snapshot.model import Container, TextFile
from dockernet_doctor.snapshot.references import believed, of_value
from dockernet_doctor.snapshot.secrets import MASK, driver_option, scrub

if TYPE_CHECKING:
    import yaml

_MOST, _LARGEST = 16, 1 << 18
_DEEPEST = 64
_NAMES = (".yml", ".yaml")
_BREAKS = regex("\r(?!\n)|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""What ends a line for some programs and not for others: no line could be named."""
_OF_THE_NETWORK = frozenset(
    ("container_name", "dns", "dns_search", "expose", "extra_hosts", "hostname", "links", "network_mode", "networks", "ports")
)
"""Keys of a service whose values are kept."""
_OF_A_NETWORK = """
    attachable driver enable_ipv4 enable_ipv6 external internal name gateway ip_range subnet aliases ipv4_address ipv6_address
    link_local_ips mac_address priority gw_priority interface_name
"""
_NETWORK_KEYS = frozenset(_OF_A_NETWORK.split())
"""Keys of a network, and of a service's place in it, whose values are kept."""


def read_compose_files(containers: Iterable[Container]) -> tuple[TextFile, ...]:
    """The compose files of this machine that the containers' labels name; what cannot be read, or has no service that such a
    container is of, is left out: a fix that would change it is then told in words."""
    services: dict[str, set[str]] = {}
    for compose in (c.compose for c in containers if c.compose):
        for path in compose.config_files:
            services.setdefault(path, set()).add(compose.service)
    texts = {path: masked(_read(path), services[path]) for path in list(services)[:_MOST]}
    return tuple(TextFile(path=path, kind="compose", text=text) for path, text in texts.items() if text)


def masked(text: str, services: Collection[str] = ()) -> str:
    """A compose file without what may be secret; "" where it is none, or has none of these services.

    Of the environment it is kept where a value points: "*** @db:5432" for "postgres://me:mine@db:5432/shop".
    """
    root = parsed(text)
    if root is None or _BREAKS.search(text) or not _has_service(root, services):
        return ""
    found, at = [], 0
    for start, end, shown in sorted(_scalars(root, text, (), set())):
        found += [_without_secrets(text[at:start]), shown]
        at = end
    return "".join((*found, _without_secrets(text[at:])))


def parsed(text: str) -> yaml.MappingNode | None:
    """The nodes of a compose file, with where they stand; None where it is none."""
    import yaml

    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        return None
    if isinstance(root, yaml.MappingNode) and any(key.value == "services" for key, _ in root.value) and not _is_deep(root):
        return root
    return None


def _is_deep(root: yaml.MappingNode) -> bool:
    """True if nodes are nested as in no compose file, or hold themselves: what goes through them calls itself."""
    level: dict[int, Any] = {0: root}
    for _ in range(_DEEPEST):
        values = (item for node in level.values() if node.id != "scalar" for item in node.value)
        level = {id(node): node for item in values for node in (item if isinstance(item, tuple) else (item,))}
    return bool(level)


def _has_service(root: yaml.MappingNode, services: Collection[str]) -> bool:
    found = next(value for key, value in root.value if key.value == "services").value
    return not services or any(isinstance(pair, tuple) and str(pair[0].value) in services for pair in found)


def _read(path: str) -> str:
    """A label is a stranger's word: only what has the name of such a file, and no large ones."""
    if not path.endswith(_NAMES):
        return ""
    try:
        data = trusted.read(path, _LARGEST + 1).data
        return data.decode() if len(data) <= _LARGEST else ""
    except (OSError, ValueError):
        return ""


def _without_secrets(between: str) -> str:
    """What stands between scalars: signs of the language, and comments."""
    return re.sub(r"#[^\r\n]*", lambda comment: scrub(comment[0]), between) if "#" in between else between


def _scalars(node: yaml.Node, text: str, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[int, int, str]]:
    """Where each scalar starts and ends, and what is kept of it. What aliases repeat is met once."""
    import yaml

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            start, end = key.start_mark.index, key.end_mark.index
            yield start, end, text[start:end]
            yield from _scalars(value, text, (*path, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, text, path, seen)
    else:
        start, end = node.start_mark.index, node.end_mark.index
        yield start, end, _kept(text[start:end], node.value, path)


def _kept(raw: str, value: str, path: tuple[str, ...]) -> str:
    section, key = path[:1], path[2:3]
    if not raw or _is_of_the_network(path, value):
        return raw
    if section == ("services",) and key == ("environment",) and "\n" not in raw:
        variable, assigned, setting = (path[3], "", value) if len(path) > 3 else value.partition("=")
        return json.dumps(f"{variable if assigned else ''}{assigned}{' '.join((MASK, *_pointers(variable, setting, raw)))}")
    return json.dumps(MASK) + "\n" * raw.count("\n")


def _is_of_the_network(path: tuple[str, ...], value: str) -> bool:
    """True for a value that changes to the network need and that people write no secrets into."""
    if path[:1] == ("services",):
        if path[2:3] != ("networks",):
            return path[2:3] != () and path[2] in _OF_THE_NETWORK
        if len(path) < 5:
            return True  # the networks' names
        path = path[2:]
    elif path[:1] != ("networks",):
        return False
    if path[2:3] == ("driver_opts",):
        return len(path) == 4 and driver_option(path[3], value) == value
    return len(path) < 3 or (path[-1] in _NETWORK_KEYS or "aux_addresses" in path)


def _pointers(variable: str, value: str, raw: str) -> Iterator[str]:
    """Where the value points, as it is written, with the signs before a host and the port behind it."""
    for reference in believed(of_value("environment", variable, value), ()):
        places = re.finditer(rf"(?://|@)?{re.escape(reference.host)}(?::\d+)?", raw) if reference.host else ()
        if written := max((place[0] for place in places), key=len, default=""):
            yield written
