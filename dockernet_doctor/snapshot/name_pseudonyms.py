"""Other names in place of those of containers, networks, hosts, services and projects, one for one; another machine id too.

Word by word: `shop-db-1` becomes `kuhevo-dalimi-1` and `shop_default` `kuhevo_default`. So what Compose put together, aliases
and domains still belong together, and an underscore or a dot stays where it means something. A name is replaced wherever it
stands in the bundle: in logs, compose files, rules and errors; one that tells whose host it is (of a project, a host, a domain)
also as a part of another, as in the volume `shop_data`. Names are also read off texts: hosts and users of URLs, domains in logs
and in the daemon's options, owners of home directories, private registries of images. Kept are the words of Docker and of
firewalls, ids, numbers, top-level domains, what follows the last slash of an image, programs and interfaces.
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
    from collections.abc import Iterator, Mapping

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
    schema scheme driver kind image_id executable process protocol result product tool os arch table chain link lsm
    programs service_state operating_system version kernel api_version min_api_version firewall_backend taken_at created family
    area where state status role scope mac master in_interface out_interface interface bridge parent macvlan_mode ipvlan_mode
    """.split()  # noqa: SIM905 - a list to read
)
_SETTINGS = "com.docker.network."  # options of Docker's own drivers, though a network be called `routed`
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
    "ClientContext": ("name",),
    "OtherDaemon": ("containers",),
}
#: Of these, every name tells whose host it is.
_TELLING = {"Snapshot": ("name",), "Host": ("hostname",), "Engine": ("name",), "Compose": ("project",)}
_TELLING_LETTERS = 4
_CLIENT = ("DOCKER_CONTEXT", "DOCKER_MACHINE_NAME")
_URL = regex(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://(?:([\w.-]{1,60})(?::[^@/\s]{0,99})?@)?([\w.-]{1,253})")
_HOME = regex(r"/(?:home|Users)/([^/\s:\"',]{1,60})")
_DOMAIN = regex(r"(?<![\w./@$-])[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}\.[a-z]{2,20}(?![\w/-]|\.\w)")
_NO_TOP_LEVEL = frozenset(
    """
    service socket json yaml yml conf cfg toml go py sh js rb rs log txt md pid sock so ko target mount scope slice timer crt
    key pem lock list db gz xz zip tar internal invalid arpa local localdomain rules nft html php java class err error
    """.split()  # noqa: SIM905 - a list to read
)
_REVERSED = ("com.", "org.", "net.", "io.", "dev.", "traefik.")  # of a label, an option of a driver, a sysctl
_PUBLIC_REGISTRIES = ("docker.io", "quay.io", "ghcr.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws")
_WORD = regex(r"[A-Za-z]+[A-Za-z0-9]*")
#: A MAC or IPv6 address, of which a part may look like a name: db, be, cafe.
_COLONS = r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f:.]*"
_ID = regex(r"[0-9a-f]{12}|[0-9a-f]{64}")
_WORDS = r"\w(?:[\w.-]*\w)?"
_IS_WORDS, _BETWEEN = regex(_WORDS), regex(r"([._-]+)")
_MOST_PARTS = 31
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"][:64]


class NamePseudonyms:
    """One map for the names of a bundle; every text goes through the same."""

    def __init__(self, bundle: Bundle, key: bytes) -> None:
        self._key = key
        self._word = cache(self._of_word)
        found = _names(bundle)
        self.names = {name: self._of_name(name) for name in sorted(found, key=lambda name: (-len(name), name))}
        self.names = {name: pseudonym for name, pseudonym in self.names.items() if name != pseudonym}
        self._telling = _telling(bundle, found)
        odd = "".join(f"{re.escape(name)}(?![\\w-]|\\.\\w)|" for name in self.names if not _IS_WORDS.fullmatch(name))
        self._pattern = re.compile(rf"(?<![\w.-])(?:{_COLONS}|{odd}{_WORDS})")

    def of(self, value: Any, field: str = "") -> Any:
        """The same structure of dicts and lists with the names in its strings replaced."""
        if isinstance(value, str):
            if field in _NO_NAMES or field.startswith(_SETTINGS):
                return value
            if field == "machine_id" and value:
                return blake2b(value.encode(), key=self._key, digest_size=16).hexdigest()
            if field == "image":
                head, slash, last = value.rpartition("/")
                return self._pattern.sub(self._match, head) + slash + last
            return self._pattern.sub(self._match, value)
        if isinstance(value, dict):
            if field == "process" or value.keys() >= {"index", "mtu"}:
                return value  # a program; an interface, whose name rules and routes use
            return {key: self.of(item, key) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, field) for item in value]
        return value

    def _match(self, match: re.Match[str]) -> str:
        token = match[0]
        known = self.names.get(token)
        if known is None and ":" not in token:
            known = self._of_parts(token)
            if known != token:
                self.names[token] = known
        return token if known is None else known

    def _of_parts(self, token: str) -> str:
        """With the names in it replaced that tell whose host it is, however they are written."""
        parts = _BETWEEN.split(token)  # words, and what is between them
        made, at = [], 0
        while at < len(parts):
            ends = range(min(len(parts), at + _MOST_PARTS), at, -2)
            end = next((end for end in ends if "".join(parts[at:end]).lower() in self._telling), 0)
            made.append(self._of_name("".join(parts[at:end]).lower()) if end else parts[at])
            at = end or at + 1
        return "".join(made)

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
    found = {*_strings(bundle, _FIELDS), *_read_off(bundle)}
    found = {name for name in found if name and name.lower() not in _KEPT and not _ID.fullmatch(name)}
    kept = (".docker.internal", ".invalid")
    return {n for n in found if not _is_address(n) and _WORD.search(n) and not n.endswith(kept) and not n.startswith("ip6-")}


def _read_off(bundle: Bundle) -> Iterator[str]:
    """Names in texts that hold more than a name."""
    snapshot = bundle.snapshot
    yield from (value for key, value in snapshot.client.environment.items() if key in _CLIENT)
    for text in _texts(msgspec.to_builtins(bundle)):
        if "://" in text:
            yield from (name for match in _URL.finditer(text) for name in match.groups("") if not name.startswith("."))
        if "/home/" in text or "/Users/" in text:
            yield from (match[1] for match in _HOME.finditer(text))
    for container in snapshot.containers:
        yield from (entry.replace("=", ":").partition(":")[0] for entry in container.extra_hosts)
        registry, slash, rest = container.image.partition("/")
        if slash and ("." in registry or ":" in registry) and registry not in _PUBLIC_REGISTRIES:
            yield from (registry.partition(":")[0], *rest.split("/")[:-1])
    said = [
        *snapshot.daemon.arguments,
        *(line.text for line in snapshot.daemon.log),
        *(file.text for file in snapshot.daemon.files),
    ]
    said += [line for container in snapshot.containers for line in (*container.log_tail, container.state.error)]
    said += [container.state.health.last_output for container in snapshot.containers if container.state.health]
    for text in said:
        for name in _DOMAIN.findall(text) if "." in text else ():
            if (
                name.rpartition(".")[2] not in _NO_TOP_LEVEL
                and not name.startswith(_REVERSED)
                and name not in _PUBLIC_REGISTRIES
            ):
                yield name


def _telling(bundle: Bundle, names: set[str]) -> frozenset[str]:
    """Names, in small letters, that are replaced also as parts of others: of hosts, of projects, and the words of domains."""
    from dockernet_doctor.snapshot.daemon_options import KINDS

    found = {name.lower() for name in _strings(bundle, _TELLING)} & {name.lower() for name in names}
    domains = [name.lower() for name in names if "." in name and name.rpartition(".")[2].isalpha()]
    found |= {word for name in domains for word in name.split(".")[:-1]}
    dockers = {word for option in KINDS for word in option.split("-")}
    long = {name for name in found if sum(map(str.isalpha, name)) >= _TELLING_LETTERS}
    return frozenset(long - dockers - _KEPT)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _strings(value: Any, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What stands in the fields that hold the wanted names."""
    if isinstance(value, msgspec.Struct):
        fields = wanted.get(type(value).__name__, ())
        for key in value.__struct_fields__:
            item = getattr(value, key)
            if key in fields:
                yield from (item,) if isinstance(item, str) else item or ()
            else:
                yield from _strings(item, wanted)
        if isinstance(value, Compose) and wanted is _FIELDS:
            yield from (part for path in (value.working_dir, *value.config_files) for part in path.split("/"))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item, wanted)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item, wanted)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
