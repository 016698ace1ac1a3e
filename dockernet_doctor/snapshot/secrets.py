"""What may not leave the host: recognising secrets in keys, and taking them out of texts.

Settings never come here: `references` reduces them to where they point. This is for texts that are kept: log lines, errors,
a health check's output, the daemon's files. Better a word too many removed than one secret kept; the names of containers,
hosts, ports and networks stay.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"

_KEY = (
    r"pass(?!ive|through|ed\b|ing\b|es\b)|pwd|secret|token|api_?-?key|access_?-?key|priv(?:ate)?_?-?key|ssh_?-?key|signing_?-?key"
    r"|encrypt\w{0,12}_?-?key|master_?-?key|account_?-?key|shared_?-?key|license_?-?key|app_?-?key|secret_?-?key|cred(?:s|ential)"
    r"|auth(?!or|entication_method|_method)|cookie|signature|jwt|salt|bearer|session_?-?id|webhook|private"
)
_SECRET_KEY = regex(rf"{_KEY}|key\b|_key|dsn|conn(?:ection)?_?str", re.IGNORECASE)

# Values of such keys that are words of a configuration language, and say something when they are left in a text.
_HARMLESS_WORDS = """
    true false yes no on off none null nil trust md5 peer ident scram-sha-256 basic digest default required optional enabled
    disabled undefined empty missing invalid
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())

# What a text without any of this cannot hold. Most lines of a log do, yet few of the strings that are kept.
_SUSPECT = regex(r"[:=@?]|[A-Za-z0-9+/_-]{20}|--|bearer|basic|password", re.IGNORECASE)

# What tokens of the usual services begin with.
_TOKENS = """
    SWMTKN- SWMKEY- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xoxa- xoxb- xoxp- xoxr- xoxs- sk_live_ sk- AKIA ASIA hvs. hvb.
"""
# Without any of these (letters folded; i has forms that do not fold) an expression matches nothing; the expression; what takes
# the place of a match. Compiling them takes `re` milliseconds, and few texts call for most of them.
_RULES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("private key",), r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", MASK),
    # Userinfo: up to the last @ of the word, since a password may hold / and @ unescaped.
    (("@",), r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'<>]{0,2000}@", rf"\1{MASK}@"),
    (("@",), r"(?<![\w.:/-])[\w.+%-]+:[^\s\"'<>@/]+@(?=(?:tcp|unix)?\(|[\w.-]+[:/])", f"{MASK}@"),
    (("?", "#"), r"([?#])(?=[^\s\"'<>?#]*=)[^\s\"'<>]*", rf"\1{MASK}"),
    (
        ("author", "cook", "x-"),
        r"(?i)(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:key|token|auth)[\w-]*)([\"']?\s*[:=]\s*)[^\r\n]+",
        rf"\1\2{MASK}",
    ),
    (("bearer", "bas", "gest"), r"(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9+/=._~-]{6,}", rf"\1 {MASK}"),
    (("eyj",), r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", MASK),
    (tuple(_TOKENS.casefold().split()), rf"\b(?:{'|'.join(map(re.escape, _TOKENS.split()))})[\w.-]{{8,}}", MASK),
)
_ASSIGNED = (
    rf"(?i)(?P<key>(?<![\w.-])[\w.-]{{0,80}}(?:{_KEY})[\w.-]{{0,80}}+[\"']?)"
    r"(?P<sep>\s*(?:=>|:=|[=:])\s*|(?<=\w)[ \t]+(?=[\"']))"
    r"(?P<value>\"(?:[^\"\\\r\n]|\\.)*\"?|'[^'\r\n]*'?|[^\s,;&\"']+)"
)
_OPTION = (
    rf"(?i)(?P<key>(?<![\w-])--?[\w-]{{0,80}}(?:{_KEY})[\w-]{{0,80}}+)(?P<sep>\s+)(?P<value>\"[^\"]*\"?|'[^']*'?|[^\s-]\S*)"
)
_BLOB = regex(r"[A-Za-z0-9+/_-]{24,}(?:={1,2}(?!\w))?")  # what follows an = that assigns is another word
_HEX = regex(r"[0-9a-fA-F]+")
_EXECUTED = regex(r'exec: "([^"\s]*)\s[^"]*"')


@lru_cache(maxsize=1024)
def is_secret_key(key: str) -> bool:
    """Whether the name of a setting says that its value is a secret: POSTGRES_PASSWORD, api-key, GITHUB_TOKEN.

    Containers share few different names, hence the cache.
    """
    return _SECRET_KEY.search(key) is not None


def secret_values(key: str, value: str) -> set[str]:
    """The parts of a setting that are secret wherever else they appear: its value, or a URL's userinfo and query."""
    found: set[str] = set()
    if is_secret_key(key) and value.lower() not in _HARMLESS:
        found.add(value)
    if "@" in value and "://" in value:
        userinfo = value.partition("://")[2].rpartition("@")[0]
        password = userinfo.partition(":")[2] or userinfo
        found.update((password, unquote(password)))
    return {secret for secret in found if len(secret) >= 3}


def scrub(text: str, known: Iterable[str] = (), *, ids: bool = False) -> str:
    """`text` without secrets: those in `known`, and whatever looks like one. Lines stay lines.

    `ids` is for texts of the engine itself: there a word of 64 hexadecimal digits is the id of a container or network.
    """
    for secret in sorted(known, key=len, reverse=True):
        if secret in text:
            text = _without(text, secret)
    if _SUSPECT.search(text) is None:
        return text
    text = _EXECUTED.sub(rf'exec: "\1 {MASK}"', text)
    folded = text.casefold()
    for needles, pattern, replacement in _RULES:
        if any(needle in folded for needle in needles):
            text = re.sub(pattern, replacement, text)
    if _SECRET_KEY.search(text):
        text = re.sub(_ASSIGNED, _mask_value, text)
        text = re.sub(_OPTION, _mask_value, text)
    return _BLOB.sub(lambda match: match[0] if _is_plain(match[0], ids) else MASK, text)


def _without(text: str, secret: str) -> str:
    if len(secret) > 4:
        return text.replace(secret, MASK)
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    bare = value.strip("\"'")
    if not bare or bare == MASK or bare.rstrip(").").lower() in _HARMLESS or f"://{MASK}@" in value:
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    end = quote if quote and value.endswith(quote) else ""
    return f"{match['key']}{match['sep']}{quote}{MASK}{end}"


def _is_plain(word: str, ids: bool) -> bool:
    """Whether a long word is a path, a name of several parts or an id, rather than key material."""
    if _HEX.fullmatch(word):
        return len(word) < 32 or (ids and len(word) == 64)
    core = word.rstrip("=")
    if core != word:
        return False
    return not any(_is_random(piece) for piece in ([core] if "+" in core else re.split(r"[/_-]", core))) and (
        "/" not in core or all(len(piece) < 20 or piece.islower() for piece in core.split("/"))
    )


def _is_random(piece: str) -> bool:
    if len(piece) < 12:
        return False
    if len(piece) >= 32 and _HEX.fullmatch(piece):
        return True
    kinds = (any(map(str.isdigit, piece)), any(map(str.isupper, piece)), any(map(str.islower, piece)))
    return all(kinds) or (len(piece) >= 20 and kinds[0] and sum(map(str.isdigit, piece)) >= 4)
