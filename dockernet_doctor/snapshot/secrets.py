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
    r"|auth(?!or|entication_method|_method)|cookie|signature|jwt|salt|bearer|sess(?:ion)?_?-?id|webhook|private"
    r"|(?<![a-z])(?:pw|psk|otp)(?![a-z])|kennwort|contrase|senha"
)
_SECRET_KEY = regex(rf"{_KEY}|key\b|_key|dsn|conn(?:ection)?_?str", re.IGNORECASE)

# Values of such keys that are words of a configuration language, and say something when they are left in a text.
_HARMLESS_WORDS = """
    true false yes no on off none null nil trust md5 peer ident scram-sha-256 basic digest default required optional enabled
    disabled undefined empty missing invalid
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())

# Words that follow "the password is" in an error, and are none. Those that end in -ed, too.
_HARMLESS_PROSE_WORDS = """
    not too in incorrect wrong set being only a an the on by for stored mandatory already never weak insecure unset unknown
    known bad ok valid correct longer shorter at least from to blank unavailable sent found lost shown hidden read written here
    also still now and or but because of with without given unauthorized
"""
_HARMLESS_PROSE = _HARMLESS | frozenset(_HARMLESS_PROSE_WORDS.split())

# Who speaks where a host would stand: "admin:12345" is a user and a password.
_PEOPLE = r"admin|administrator|root|user|username|guest|login|test|demo|default|me|sa|system|operator|manager|anonymous"

# What a text without any of this cannot hold. Most lines of a log do, yet few of the strings that are kept.
_SUSPECT = regex(
    r"[:=@?$]|[A-Za-z0-9+/_-]{20}|(?<![\w-])-[A-Za-z-]|bearer|basic|AKIA|ASIA|pass|secret|token|credential|pwd|key"
    r"|rabbitmqctl|identified|masterauth",
    re.IGNORECASE,
)

# What tokens of the usual services begin with.
_TOKENS = """
    SWMTKN- SWMKEY- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xoxa- xoxb- xoxp- xoxr- xoxs- sk_live_ sk- AKIA ASIA hvs. hvb.
"""
# Without any of these (letters folded; i has forms that do not fold) an expression matches nothing; the expression; what takes
# the place of a match. Compiling them takes `re` milliseconds, and few texts call for most of them.
_RULES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("private key",), r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", MASK),
    (("@",), r"(?<![\w.:/+%-])[\w.+%-]{1,100}:[^\s\"'<>@/]{1,200}@(?!sha256:)(?=(?:tcp|unix)?\(|[\w.-]+[:/])", f"{MASK}@"),
    (("?", "#"), r"([?#])(?=[^\s\"'<>?#]*=)[^\s\"'<>]*", rf"\1{MASK}"),
    (
        ("author", "cook", "x-"),
        r"(?i)(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,60}?(?:key|token|auth)[\w-]{0,60})([\"']?\s*[:=]\s*)[^\r\n]+",
        rf"\1\2{MASK}",
    ),
    (("bearer", "bas", "gest"), r"(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9+/=._~-]{6,}", rf"\1 {MASK}"),
    (("eyj",), r"(?<!\w)(?<!\w-)eyJ[\w-]{8,}\.[^\s\"',;&]+", MASK),
    (tuple(_TOKENS.casefold().split()), rf"\b(?:{'|'.join(map(re.escape, _TOKENS.split()))})[\w.-]{{8,}}", MASK),
    # Webhooks: who knows the address may write there.
    (
        ("hooks", "webhook"),
        r"(?i)(?<![\w.-])([\w.-]{0,60}?hooks?[\w.-]{0,60}/|[\w.-]{1,253}/(?:[\w-]{1,60}/){0,3}webhooks?/)[^\s\"',;]+",
        rf"\1{MASK}",
    ),
    # What crypt(3) and htpasswd make of a password; Compose doubles each $.
    (("$",), r"(?<!\w)\$\$?(?:apr1|1|2[abxy]?|5|6|7|y|gy|argon2\w{0,2}|scrypt|pbkdf2[\w-]{0,10})\$[^\s\"',;:]+", MASK),
    (("{s",), r"(?i)\{(?:S?SHA\d{0,3}|SMD5)\}[A-Za-z0-9+/=]{8,}", MASK),
    # Credentials on command lines: curl -u USER:PASSWORD, but not docker run -u UID:GID.
    (
        (" -u", "'-u", '"-u', "--user", "proxy-user"),
        r"(?<![\w-])(-u\s*|--(?:proxy-)?user[= ])(?!\d+:\d+(?!\S))([^\s:\"',]{1,200}):[^\s\"']+",
        rf"\1\2:{MASK}",
    ),
    (("mysql", "maria", "sshpass"), r"(?<!\S)-p(?=\S)[^\s\"']+", f"-p{MASK}"),
    (
        ("sshpass", "mongo", "login", "cqlsh"),
        r"(\b(?:sshpass|cqlsh|mongo\w{0,10}|(?:docker|podman|nerdctl) login)\b[^\r\n;|]{0,300}?\s-p\s+)(?!-)[^\s\"']+",
        rf"\1{MASK}",
    ),
    (("redis-cli", "valkey-cli"), r"(?<!\S)-a\s+(?!-)[^\s\"']+", f"-a {MASK}"),
    (("ldap",), r"(?<!\S)-w\s*(?!-)[^\s\"']+", f"-w {MASK}"),
    (("sqlcmd", "bcp ", "mosquitto"), r"(?<!\S)-P\s*(?!-)[^\s\"']+", f"-P {MASK}"),
    (("smb", "rpcclient"), r"(-U\s{0,5}[^\s%]{1,100}%)[^\s\"']+", rf"\1{MASK}"),
    (("rabbitmqctl",), r"((?:add_user|change_password|authenticate_user)\s+\S+\s+)[^\s\"']+", rf"\1{MASK}"),
    (("sqlplus",), r"(\bsqlplus\s+(?:-\S{1,20}\s+){0,5}[^\s/]{1,100}/)[^\s@]+", rf"\1{MASK}"),
    (("htpasswd",), r"(\bhtpasswd\s[^\r\n]{0,200}?-\w{0,5}b\w{0,5}\s+(?:\S{1,200}\s+){1,2}?)(?!-)\S+(?=\s*$)", rf"\1{MASK}"),
    (("mc ",), r"(\bmc\s[^\r\n]{0,40}?\b(?:set|add)\s+\S{1,60}\s+https?://\S{1,200}\s+\S{1,100}\s+)\S+", rf"\1{MASK}"),
    (("requirepass ", "masterauth "), r"(?i)\b(requirepass|masterauth)\s+[^\s]+", rf"\1 {MASK}"),
    (("identified",), r"(?i)\b(identified\s+(?:with\s+\S{1,60}\s+)?(?:by|as)\s+(?:password\s+)?)[^\s;]+", rf"\1{MASK}"),
    (("credential",), r"(?i)\b(credentials?\s+(?:(?:for|of)\s+)?[\w.@-]{1,60}[:/])[^\s\"',;]+", rf"\1{MASK}"),
    (("</",), rf"(?i)(<[\w:.-]{{0,40}}(?:{_KEY})[\w:.-]{{0,40}}>)[^<]+", rf"\1{MASK}"),
    (
        ("'", '"'),
        r"(?i)([\"'][\w-]{0,40}(?:password|passwd|pwd|secret|token|api_?key)[\"']\s*,\s*[\"'])[^\"']+",
        rf"\1{MASK}",
    ),
    # -pPASSWORD, but not the options of other programs that begin with p.
    (
        ("-p",),
        (
            r"(?<![\w-])-p(?!ass|(?:ath|id|ort|refix|eer|rofile|lugin|rotocol|roxy|ublish|rivileged|rint|arent|latform|ull|rogress|rovider"
            r"|roject|kg|hase|hp|ackage|ool|oll|ing|art|atch|attern|ersist|rune|retty|reserve|ost|ublic|rivate|c)s?(?![^\s=,:;\"']))"
            r"(?![\d.:/-]+(?:tcp|udp)?(?![^\s\"',]))[^\s=:/\"',-][^\s\"',]{3,}"
        ),
        f"-p{MASK}",
    ),
    ((":",), rf"(?i)(?<![\w.:/@-])({_PEOPLE}):(?!//)(?=\S{{0,80}}[\d!$%])[^\s\"',;:/]{{4,}}(?![\w/]|:\S)", rf"\1:{MASK}"),
)
_QUOTED = r"\\+[\"'][^\"'\\\r\n]*(?:\\+[\"'])?|\"(?:[^\"\\\r\n]|\\.)*\"?|'[^'\r\n]*'?"  # in a text in JSON quotes are escaped
_ASSIGNED = (
    rf"(?i)(?P<key>(?<![\w.-])[\w.-]{{0,80}}(?:{_KEY})[\w.-]{{0,80}}(?:\\*[\"'])?)"
    r"(?P<sep>\s*(?:=>|:=|[=:])\s*(?:[\[({]\s*(?=[\"']))?|(?<=\w)[ \t]+(?=[\"']))"
    rf"(?P<value>{_QUOTED}|[^\s,;&\"'\\]+)"
)
_OPTION = rf"(?i)(?P<key>(?<![\w-])--?[\w-]{{0,80}}(?:{_KEY})[\w-]{{0,80}})(?P<sep>\s+)(?P<value>{_QUOTED}|[^\s-][^\s\"']*)"
_SAID = (
    r"(?i)\b(?P<key>pass(?:word|wd|phrase|code|wort)|pwd|secret|token|credentials?|api[ _-]?key|pin)(?P<sep>"
    r"(?:[ \t]+(?:for|of)(?:[ \t]+[^\s:]{1,60}){1,3}?)?(?:[ \t]+(?:is|was|are|now|set to|changed to)|[ \t]*[:=])[ \t:=]{1,5})"
    rf"(?P<value>{_QUOTED}|[^\s\"']+)"
)
_SAID_BARE = (
    r"(?i)\b(?P<key>pass(?:word|wd|phrase|code|wort)|pwd|secret|token|api[ _-]?key)(?P<sep>[ \t]+)"
    r"(?P<value>(?=[^\s\d]{0,100}\d)(?=[\d]{0,100}[A-Za-z!-/])[^\s\"'(]{5,})"
)
_BLOB = regex(r"[A-Za-z0-9+/_-]{24,}(?:={1,2}(?!\w))?")  # what follows an = that assigns is another word
_PLAIN_NAME = regex(r"[\d.]+|[a-z][a-z0-9]*(?:[.-][a-z0-9]+)+", re.IGNORECASE)  # of a host, perhaps
_PARTS = regex(r"[\s=:@/?&'\",;]+")
_WORD = regex(r"[^\s\"'<>]+")
_HEX = regex(r"[0-9a-fA-F]+")
_EXECUTED = regex(r'exec: "([^"\s]*)\s[^"]*"')


# Options of network drivers that causes need: their values are kept.
_NETWORK_OPTION = regex(r"com\.docker\.network\.|(?:parent|macvlan_mode|ipvlan_mode|ipvlan_flag|encrypted|mtu)\Z")


@lru_cache(maxsize=1024)
def is_secret_key(key: str) -> bool:
    """True if the name of a setting says that its value is a secret: POSTGRES_PASSWORD, api-key, GITHUB_TOKEN.

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


def driver_option(key: str, value: str) -> str:
    """What is kept of the value of a network driver's option."""
    return scrub(value) if _NETWORK_OPTION.match(key) else MASK if value else ""


@lru_cache(maxsize=256)
def secret_words(text: str) -> frozenset[str]:
    """The words of a command that `scrub` takes out and that look like no other word: they may stand elsewhere, too."""
    words = set(_PARTS.split(text)) - set(_PARTS.split(scrub(text)))
    return frozenset(word for word in words if len(word) >= 5 and re.search(r"\d", word) and not _PLAIN_NAME.fullmatch(word))


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
    if "://" in text and "@" in text:
        text = _WORD.sub(_without_userinfo, text)
    folded = text.casefold()
    for needles, pattern, replacement in _RULES:
        for needle in needles:  # `any` would take thrice the time, of every line of every log
            if needle in folded:
                text = re.sub(pattern, replacement, text)
                break
    if _SECRET_KEY.search(text):
        text = re.sub(_ASSIGNED, _mask_value, text)
        text = re.sub(_OPTION, _mask_value, text)
        text = re.sub(_SAID, _mask_said, text)
        text = re.sub(_SAID_BARE, _mask_said, text)
    return _BLOB.sub(lambda match: match[0] if _is_plain(match[0], ids) else MASK, text)


def _without_userinfo(word: re.Match[str]) -> str:
    """Userinfo goes up to the last @ of the word, since a password may hold / and @ unescaped."""
    text = word[0]
    begin, end = text.find("://"), text.rfind("@")
    return f"{text[: begin + 3]}{MASK}{text[end:]}" if 0 < begin < end else text


def _without(text: str, secret: str) -> str:
    if len(secret) > 4:
        return text.replace(secret, MASK)
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    bare = value.strip("\\\"'")
    if not bare or bare == MASK or bare.rstrip(").").lower() in _HARMLESS or f"://{MASK}@" in value:
        return match[0]
    slashes = len(value) - len(value.lstrip("\\"))  # in a text in JSON quotes are escaped
    quote = value[: slashes + 1] if value[slashes : slashes + 1] in ("'", '"') else ""
    end = quote if quote and len(value) > len(quote) and value.endswith(quote) else ""
    return f"{match['key']}{match['sep']}{quote}{MASK}{end}"


def _mask_said(match: re.Match[str]) -> str:
    """What a sentence says of a password: "is hunter2" goes, "is required" stays."""
    word = match["value"].strip("\\\"'.,;:!?()").lower()
    if word in _HARMLESS_PROSE or (word.isalpha() and word.endswith("ed")):
        return match[0]
    return _mask_value(match)


def _is_plain(word: str, ids: bool) -> bool:
    """True if a long word is a path, a name of several parts or an id, rather than key material."""
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
