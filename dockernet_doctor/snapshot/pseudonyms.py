"""Other addresses in place of the real ones, one for one, so that a bundle can be shown to strangers.

The map keeps prefixes: two addresses that share their first n bits still share exactly n, so subnets, routes, overlaps and
firewall rules mean what they meant (Crypto-PAn, Xu et al. 2002, with a keyed hash in place of AES). Kept as they are:
loopback, link-local, multicast, unspecified, which private range an address is in, the best known public resolvers, and
the last octet (IPv4) or 16 bits (IPv6), in which gateways and broadcasts show. The key is thrown away.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT4 = (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
    "8.8.8.8/32", "8.8.4.4/32", "1.1.1.1/32", "9.9.9.9/32",
)  # fmt: skip
_RANGES4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15")
_KEPT6 = ("::/8", "ff00::/8", "2001:4860:4860::8888/128", "2001:4860:4860::8844/128", "2606:4700:4700::1111/128")
_RANGES6 = ("fc00::/8", "fd00::/8", "fe80::/64", "2000::/3")
_LAST4, _LAST6 = 8, 16  # bits at the end that stay

_V4 = regex(
    r"(?<![^\W_])(?<!\.)(?P<v4>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?:/(?P<length>\d{1,2}))?(?![^\W_]|\.\d)"
    r"|(?<![^\W_])(?<!\d-)(?P<dashed>\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?!\w|-\d)"
)
_HEX = regex(r"(?<![\w:.])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)[0-9A-Fa-f:.]{2,45}(?:/\d{1,3})?(?![\w:])")
_MAC = regex(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\Z")
_MACS_KEPT = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")
_MACS_OF_GROUPS = ("01:00:5e", "33:33", "01:80:c2")


class Pseudonyms:
    """One map; every text of a bundle goes through the same."""

    def __init__(self, key: bytes | None = None, subnets: frozenset[tuple[int, int]] = frozenset()) -> None:
        self._key = key or secrets.token_bytes(16)
        self._subnets = subnets
        self._known: dict[str, str] = {}
        self.way_back: dict[str, str] = {}  # each address that was put in, and what stood there
        self._octets = cache(self._flips)
        self._fixed4 = _paths(_KEPT4 + _RANGES4, 32)
        self._fixed6 = _paths(_KEPT6 + _RANGES6, 128)
        self._kept4 = [ipaddress.IPv4Network(text) for text in _KEPT4]
        self._kept6 = [ipaddress.IPv6Network(text) for text in _KEPT6]

    @classmethod
    def for_texts(cls, value: Any) -> Pseudonyms:
        """A map under which the broadcast addresses of all subnets in these texts are broadcast addresses still."""
        return cls(subnets=frozenset(subnet for text in _strings(value) for subnet in _wide_subnets(text)))

    def of(self, value: Any) -> Any:
        """The same structure of dicts and lists with every string mapped, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.of(key): self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """`text` with the addresses in it mapped; everything else stays."""
        known = self._known.get(text)
        if known is None:
            known = text
            if "." in text or text.count("-") >= 3:
                known = _V4.sub(self._match4, known)
            if text.count(":") >= 2:
                known = _HEX.sub(self._match6, known)
            if len(text) < 64:
                self._known[text] = known
        return known

    # --- matches

    def _match4(self, match: re.Match[str]) -> str:
        dashed = match["dashed"]
        try:
            number = int(ipaddress.IPv4Address(dashed.replace("-", ".") if dashed else match["v4"]))
        except ValueError:
            return match[0]
        length = int(match["length"]) if match["length"] else 32
        if length > 32 or _is_netmask(number):
            return match[0]
        mapped = self._address4(number)
        if length < 32:
            mapped = _masked(number, mapped, length, 32)
        shown = str(ipaddress.IPv4Address(mapped))
        if mapped != number:
            self.way_back[shown] = str(ipaddress.IPv4Address(number))
        return shown.replace(".", "-") if dashed else shown + (f"/{length}" if match["length"] else "")

    def _match6(self, match: re.Match[str]) -> str:
        word, slash, length_text = match[0].partition("/")
        if _MAC.match(word):
            return self._mac(word) + slash + length_text
        end = ""
        while word.endswith((".", ":")) and not word.endswith("::"):
            word, end = word[:-1], word[-1] + end
        if "." in word:
            return match[0]  # ::ffff:10.0.0.1, whose IPv4 part is mapped already
        try:
            address = ipaddress.IPv6Address(word)
        except ValueError:
            return match[0]
        length = int(length_text) if slash else 128
        number = int(address)
        if address.ipv4_mapped is not None:
            mapped = (number >> 32 << 32) | self._address4(number & 0xFFFFFFFF)
        else:
            mapped = self._address6(address)
        if length < 128:
            mapped = _masked(number, mapped, length, 128)
        shown = str(ipaddress.IPv6Address(mapped))
        if mapped != number:
            self.way_back[shown] = str(address)
        return shown + slash + length_text + end

    # --- the map

    def _address4(self, number: int) -> int:
        address = ipaddress.IPv4Address(number)
        if any(address in network for network in self._kept4):
            return number
        for base, length in self._subnets:
            ones = (1 << (32 - length)) - 1
            if number == base | ones:
                return self._permuted(base, 32, _LAST4, self._fixed4) | ones
        return self._permuted(number, 32, _LAST4, self._fixed4)

    def _address6(self, address: ipaddress.IPv6Address) -> int:
        if any(address in network for network in self._kept6):
            return int(address)
        return self._permuted(int(address), 128, _LAST6, self._fixed6)

    def _permuted(self, number: int, width: int, last: int, fixed: frozenset[tuple[int, int]]) -> int:
        """Each bit flipped or not, as the bits before it and the key decide; not on the way to a range that is kept."""
        result = number
        for start in range(0, width - last, 8):
            flips = self._octets(width, start, number >> (width - start))
            for depth in range(start, start + 8):
                prefix = number >> (width - depth)
                node = (1 << (depth - start)) | (prefix & ((1 << (depth - start)) - 1))
                if flips >> node & 1 and (depth, prefix) not in fixed:
                    result ^= 1 << (width - 1 - depth)
        return result

    def _flips(self, width: int, start: int, prefix: int) -> int:
        """A bit for each of the 255 places within the octet that begins after this prefix."""
        seed = b"%d/%d/%x" % (width, start, prefix)
        return int.from_bytes(blake2b(seed, key=self._key, digest_size=32).digest(), "big")

    def _mac(self, text: str) -> str:
        plain = text.lower()
        if plain in _MACS_KEPT or plain.startswith(_MACS_OF_GROUPS):
            return text
        digest = blake2b(plain.encode(), key=self._key, digest_size=5).digest().hex(":")
        # The first octet says whether an address is a group's, and whether it is made up locally.
        mapped = f"{plain[:2]}:{digest}"
        self.way_back[mapped] = plain
        return mapped if plain == text else mapped.upper()


def _masked(original: int, mapped: int, length: int, width: int) -> int:
    """A network stays one: no host bits where there were none."""
    ones = (1 << (width - length)) - 1
    return mapped if original & ones else mapped & ~ones


def _paths(networks: tuple[str, ...], width: int) -> frozenset[tuple[int, int]]:
    """(depth, bits before it) of every decision on the way to one of these networks."""
    found: set[tuple[int, int]] = set()
    for text in networks:
        network = ipaddress.ip_network(text)
        number = int(network.network_address)
        found.update((depth, number >> (width - depth)) for depth in range(network.prefixlen))
    return frozenset(found)


def _is_netmask(number: int) -> bool:
    inverted = number ^ 0xFFFFFFFF
    return number >> 24 == 255 and inverted & (inverted + 1) == 0


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _wide_subnets(text: str) -> Iterator[tuple[int, int]]:
    """Subnets in a text whose broadcast address ends in more bits than those that the map keeps."""
    for match in _V4.finditer(text) if "/" in text else ():
        if match["length"] and 8 <= int(match["length"]) < 32 - _LAST4:
            try:
                yield int(ipaddress.IPv4Interface(match[0]).network.network_address), int(match["length"])
            except ValueError:
                continue
