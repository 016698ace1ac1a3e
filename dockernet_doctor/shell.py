r"""Commands for a shell, made of words: the only place where text becomes part of one.

What a bundle, a daemon, a ruleset or a file holds ends up in commands that their reader pastes as root. So a command is a
type, which this module alone makes, and all that goes into one is quoted here: for sh, and within that for sed, nft or a Go
template. What a language has no way to write makes the command a comment that says so, and its `Fix` not runnable.

A word with a line break or another character that does not print is written as `"$(printf '%b' 'a\0012b')"`: a command is
one line, and what a terminal shows of it is what runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TypeVar

from dockernet_doctor.regex import regex


class Piece(str):
    """Text that is safe in its language. `unsayable` is why it could not be written, "" where it could."""

    unsayable: str = ""


class Command(Piece):
    """One line of POSIX sh, fit for `sh -c`."""


class Word(Piece):
    """A part of a command that is quoted already; it may hold an expansion of ours."""


class Nft(Piece):
    """Text in the language of nft(8)."""


class Pattern(Piece):
    """An extended regular expression, for `s#…#…#` of sed; Python's reads it too."""


class Replacement(Piece):
    """What such an expression is replaced by."""


class Setting(Piece):
    """A line of sysctl.d, or what `sysctl -w` sets."""


class Step(Piece):
    """A step of a sed script."""


class _Lines(Step):
    """One that adds lines, and ends where they do."""


_P = TypeVar("_P", bound=Piece)


def command(*words: str) -> Command:
    """A simple command. A `Word` stands as it is, all else is quoted: a `Command` too, as `sh -c` wants it."""
    return _joined(Command, " ", [_word(word) for word in words])


def line(template: str, *parts: str) -> Command:
    """A command that is more than words: the template, a literal, has a `{}` for each part.

    Commands and `Word`s stand there as they are, all else is quoted.
    """
    return _filled(Command, template, [part if isinstance(part, Command) else _word(part) for part in parts])


def then(*commands: Command) -> Command:
    """One after the other, as long as none fails."""
    return _joined(Command, " && ", commands)


def output(of: Command) -> Word:
    """What a command prints, as one word."""
    return _filled(Word, '"$({})"', [of])


def glued(*parts: str) -> Word:
    """Parts of one word."""
    return _joined(Word, "", [_word(part) for part in parts])


def operands(*names: str) -> tuple[str, ...]:
    """Names that come last, for programs whose options end at `--`: behind one where a name begins with a dash."""
    return ("--", *names) if any(name.startswith("-") for name in names) else names


def write(path: str, *lines: str, append: bool = False) -> Command:
    """Put lines into a file, or add them to it. A text with a line break would be more than the line that its reader sees."""
    if broken := next((text for text in lines if "\n" in text or "\r" in text), ""):
        return unsayable(f"{shown(broken)} is more than one line")
    return line("{} >> {}" if append else "{} > {}", command("printf", "%s\\n", *lines), changeable(path))


def changeable(path: str) -> Word:
    """The path of a file that a fix changes, moves or creates: of a kind that Docker, Compose, systemd or sysctl reads, or one
    that keeps firewall rules.

    What a bundle, a label or a log names may be any other, /etc/shadow or a script that root runs.
    """
    if ".." in path.split("/") or not (path.isprintable() and _CHANGED.fullmatch(path)):
        return _unsayable(Word, f"{shown(path)} is no file that a fix may change")
    return _word(path)


_CHANGED = regex(
    r"/etc/(?:hostname|(?:default|sysconfig|conf\.d)/[^/]+|(?:docker|systemd/(?:system|user)/docker\.service\.d)/.+)"
    r"|/(?:.+/)?etc/(?:ufw/(?:before|after)6?\.rules|iptables/rules\.v[46]|sysconfig/ip6?tables)(?:\.before)?"
    r"|/(?:.+/)?etc/(?:.+/)?[^/]+\.nft(?:\.before)?"
    r"|/(?:.+/)?[^/]+\.(?:json|conf|service|socket|ya?ml|env|pid|sock)(?:\.(?:new|before|stale))?"
)


def setting(key: str, value: str, between: str = "=") -> Setting:
    """A kernel setting and its value. The dots of an interface's name are slashes there, and no name leads to another setting.

    Source: sysctl(8), sysctl.d(5): the first separator of a key says which of the two it uses, and two of the other mean "..".
    """
    found = _SYSCTL.fullmatch(key)
    if found is None:
        return _unsayable(Setting, f"sysctl has no way to write {shown(key)}")
    name = key if found[2] is None else found[1] + found[2].replace(".", "/") + found[3]
    return Setting(f"{name}{between}{value}")


_SYSCTL = regex(
    r"(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.)(\.*[A-Za-z0-9_@-][A-Za-z0-9_@.-]*)(\.[a-z0-9_]+)"
    r"|(?!net\.\w+\.(?:conf|neigh)\.)[a-z0-9_]+(?:\.[a-z0-9_-]+)*"
)


def unsayable(why: str) -> Command:
    """In the place of a command that cannot be written safely."""
    return _unsayable(Command, why)


def shown(text: str) -> str:
    """Text in a reason, on one line."""
    return ascii(text if len(text) < 80 else f"{text[:79]}…")


def is_command(text: str) -> bool:
    """True for what was made here, and for plain words, which every shell takes as they are."""
    return isinstance(text, Command) or _PLAIN.fullmatch(text) is not None


# --- nft: names are bare and have no quotes, strings end at the next quote ----------------------------------------------


def nft(template: str, *parts: str) -> Nft:
    """Text for nft: the template, a literal, has a `{}` for each name, number or address, and a `"{}"` for each string.

    Source: scanner.l of nftables. `Nft` stands as it is.
    """
    places = _NFT_PLACE.findall(template)
    return _filled(Nft, template, [_nft(part, quoted) for part, quoted in zip(parts, places, strict=True)])


def _nft(text: str, quoted: str) -> Nft:
    if isinstance(text, Nft):
        return text
    if quoted:
        fits = _NFT_STRING.fullmatch(text) is not None and text.isprintable()
    else:
        fits = (_NFT_NAME.fullmatch(text) or _NFT_NUMBER.fullmatch(text)) is not None
    return Nft(text) if fits else _unsayable(Nft, f"nft has no way to write the name {shown(text)}")


_NFT_PLACE = regex(r'("?)\{\}')
_NFT_NAME = regex(r"[A-Za-z_.][A-Za-z0-9/\\_.-]*")
_NFT_NUMBER = regex(r"[0-9A-Fa-f:][0-9A-Fa-f:./]*")
_NFT_STRING = regex(r'[^"*]+')


# --- sed: a line break ends a step, and there are steps that run commands or write files --------------------------------


def sed(path: str, *steps: Step) -> Command:
    """Change a file in place; it is kept as it was beside it, with `.before` behind its name."""
    apart = any(isinstance(step, _Lines) for step in steps)  # which no semicolon ends
    script = [word for step in steps for word in ("-e", step)] if apart else [_joined(Step, ";", steps)]
    return command("sed", "-i.before", "-E", *script, changeable(path))


def step(template: str, *parts: Pattern | Replacement | Step | int) -> Step:
    """A step as a literal, with a `{}` for each line number, pattern, replacement and step; `#` is what parts them."""
    return _filled(Step, template, [str(part) if isinstance(part, int) else part for part in parts])


def appended(number: int, text: str) -> Step:
    """The text as lines of their own after this one."""
    return _Lines(f"{number}a\\" + text.replace("\\", r"\\").replace("\n", "\\\n"))


def pattern(template: str, *texts: str) -> Pattern:
    """An extended regular expression: a literal with a `{}` for each text, which matches only itself, or `Pattern`."""
    return _filled(Pattern, template, [t if isinstance(t, Pattern) else _escaped(t, r"].$*+?(){}|^[\#") for t in texts])


def replacement(template: str, *texts: str) -> Replacement:
    r"""What stands for a match: a literal, with `\1` for a group, and a `{}` for each text, or `Replacement`."""
    return _filled(Replacement, template, [t if isinstance(t, Replacement) else _escaped(t, r"\&#") for t in texts])


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{sign}" if sign in special else sign for sign in text).replace("\n", r"\n")


# --- templates of `docker inspect -f` -----------------------------------------------------------------------------------


def go_string(text: str) -> str:
    """Text between double quotes as Go reads it."""
    return '"' + "".join(sign if _GO_PLAIN.fullmatch(sign) else f"\\U{ord(sign):08x}" for sign in text) + '"'


_GO_PLAIN = regex(r"[ !#-\[\]-}]")


def by_podman(line: Command) -> Command | None:
    """The same for Podman's program, which has these verbs of Docker's with the same operands; None where it is another."""
    if not _OF_DOCKER.search(line):
        return line
    return Command(line.replace("docker ", "podman ")) if _OF_PODMAN.fullmatch(line) else None


_OF_DOCKER = regex(r"(?<![\w./-])docker(?![\w./-])")
_WORDS = r"(?: (?!none(?: |$))[\w.:,@%+=/-]+)+"
_OF_PODMAN = regex(rf"docker (?:start|stop|restart|unpause|network (?:connect|create)){_WORDS}")

# --- how ----------------------------------------------------------------------------------------------------------------


def _word(text: str) -> Word:
    if isinstance(text, Word):
        return text
    if isinstance(text, Piece) and text.unsayable:
        return _unsayable(Word, text.unsayable)
    if text.replace("\t", "").isprintable():
        return Word(shlex.quote(text))
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        return _unsayable(Word, f"{shown(text)} is no text")
    if "\0" in text or text.endswith("\n"):  # which no argument can hold, or which $() takes off
        return _unsayable(Word, f"a shell has no way to write {shown(text)}")
    spelt = "".join(chr(o) if 0x20 <= o < 0x7F and o != 0x5C else f"\\0{o:03o}" for o in octets)
    return Word(f"\"$(printf '%b' {shlex.quote(spelt)})\"")


def _filled(kind: type[_P], template: str, parts: Sequence[str]) -> _P:
    return _made(kind, template.format(*parts), parts)


def _joined(kind: type[_P], sign: str, parts: Sequence[str]) -> _P:
    return _made(kind, sign.join(parts), parts)


def _made(kind: type[_P], text: str, parts: Iterable[str]) -> _P:
    why = next((part.unsayable for part in parts if isinstance(part, Piece) and part.unsayable), "")
    return _unsayable(kind, why) if why else kind(text)


def _unsayable(kind: type[_P], why: str) -> _P:
    piece = kind(f"# {why}")
    piece.unsayable = why
    return piece


_PLAIN = regex(r"[A-Za-z0-9_@%+=:,./-]+( [A-Za-z0-9_@%+=:,./-]+)*")
