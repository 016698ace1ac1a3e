"""Other names in place of those of containers, networks, hosts, services and projects, one for one; another machine id too.

Word by word: `shop-db-1` becomes `kuhevo-dalimi-1` and `shop_default` `kuhevo_default`. So what Compose put together, aliases
and domains still belong together, and an underscore or a dot stays where it means something. A name is replaced wherever it
stands in the bundle: in logs, compose files, rules and errors. Kept are the words of Docker and of firewalls, ids, numbers,
top-level domains, images, programs and interfaces.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Compose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockernet_doctor.snapshot.bundle import Bundle

_KEPT = frozenset(
    """
    bridge host none default ingress docker docker_gwbridge docker0 localhost gateway internal local overlay macvlan ipvlan null
    filter nat raw mangle security accept drop reject return masquerade dnat snat forward input output prerouting postrouting
    inet ip ip6 arp tcp udp icmp icmpv6 sctp state ctstate comment conntrack addrtype multiport limit mark set match dev via
    src dst proto scope link lo eth0 http https unix file ssh root true false yes no always on off all any version before next
    services networks volumes image command ports environment expose build restart name driver external options labels hostname
    container network service home srv opt etc var usr run mnt data tmp compose yml yaml json conf env com org net io
    """.split()  # noqa: SIM905 - a list to read
)
#: Where a string is one of a known set, or the name of software, and no name of the customer's.
_NO_NAMES = frozenset(
    """
    schema scheme driver kind image image_id executable process protocol result product tool os arch table chain link lsm
    programs service_state operating_system version kernel api_version min_api_version firewall_backend taken_at created family
    area where state status role scope mac master in_interface out_interface interface bridge
    """.split()  # noqa: SIM905 - a list to read
)
_FIELDS = {
    "Snapshot": ("name",),
    "Host": ("hostname",),
    "Engine": ("name",),
    "Container": ("name", "hostname", "domainname", "dns_search"),
    "Compose": ("project", "service"),
    "SwarmTask": ("service", "task"),
    "Endpoint": ("aliases", "dns_names", "network"),
    "ContainerLink": ("alias",),
    "Network": ("name", "compose_project", "compose_network"),
    "Service": ("name",),
    "SwarmNode": ("hostname",),
    "HostsEntry": ("names",),
    "ResolvConf": ("search",),
    "Reference": ("host",),
    "HandedOut": ("host",),
    "StoreEndpoint": ("name", "host"),
    "Probe": ("name",),
}
_WORD = regex(r"[A-Za-z]+[A-Za-z0-9]*")
#: A MAC or IPv6 address, of which a part may look like a name: db, be, cafe.
_COLONS = r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f:.]*"
_ID = regex(r"[0-9a-f]{12}|[0-9a-f]{64}")
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"][:64]


class NamePseudonyms:
    """One map for the names of a bundle; every text goes through the same."""

    def __init__(self, bundle: Bundle, key: bytes) -> None:
        self._key = key
        self._word = cache(self._of_word)
        self.names = {name: self._of_name(name) for name in sorted(_names(bundle), key=lambda name: (-len(name), name))}
        self.names = {name: pseudonym for name, pseudonym in self.names.items() if name != pseudonym}
        pattern = "|".join(map(re.escape, self.names))
        self._pattern = re.compile(rf"(?<![\w.-])(?:{_COLONS}|(?:{pattern})(?![\w-]|\.\w))") if pattern else None

    def of(self, value: Any, field: str = "") -> Any:
        """The same structure of dicts and lists with the names in its strings replaced."""
        if isinstance(value, str):
            if field in _NO_NAMES:
                return value
            if field == "machine_id" and value:
                return blake2b(value.encode(), key=self._key, digest_size=16).hexdigest()
            return self._pattern.sub(lambda match: self.names.get(match[0], match[0]), value) if self._pattern else value
        if isinstance(value, dict):
            if field == "process" or value.keys() >= {"index", "mtu"}:
                return value  # a program; an interface, whose name rules and routes use
            return {key: self.of(item, key) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, field) for item in value]
        return value

    def _of_name(self, name: str) -> str:
        head, dot, top = name.rpartition(".")
        if dot and top.isalpha():  # a domain keeps its last label
            return _WORD.sub(lambda match: self._word(match[0]), head) + dot + top
        return _WORD.sub(lambda match: self._word(match[0]), name)

    def _of_word(self, word: str) -> str:
        if word.lower() in _KEPT or _ID.fullmatch(word):
            return word
        digest = blake2b(word.encode(), key=self._key, digest_size=4).digest()
        return "".join(_SYLLABLES[byte % 64] for byte in digest)


def _names(bundle: Bundle) -> set[str]:
    """Names that may tell whose host it is: no address, no id, no word of Docker's own."""
    found = {name for name in _strings(bundle) if name and name.lower() not in _KEPT and not _ID.fullmatch(name)}
    kept = (".docker.internal", ".invalid")
    return {n for n in found if not _is_address(n) and _WORD.search(n) and not n.endswith(kept) and not n.startswith("ip6-")}


def _strings(value: Any) -> Iterator[str]:
    """What stands in the fields that hold names."""
    if isinstance(value, msgspec.Struct):
        fields = _FIELDS.get(type(value).__name__, ())
        for key in value.__struct_fields__:
            item = getattr(value, key)
            if key in fields:
                yield from (item,) if isinstance(item, str) else item or ()
            else:
                yield from _strings(item)
        if isinstance(value, Compose):
            yield from (part for path in (value.working_dir, *value.config_files) for part in path.split("/"))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
