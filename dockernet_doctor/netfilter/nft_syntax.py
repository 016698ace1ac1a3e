"""The JSON of nft rules, and how `nft list ruleset` writes it (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

JSON = msgspec.json.Decoder()
_SHOWN = 200  # bytes of a rule that is not understood


def rule_text(expressions: bytes, comment: str = "") -> str:
    """The rule nearly as `nft list ruleset` prints it; as its dump has it where it is of another shape."""
    try:
        parts = [expression_text(expression) for expression in JSON.decode(expressions)]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        parts = [expressions[:_SHOWN].decode("utf-8", "replace")]
    if comment:
        parts.append(f'comment "{comment}"')
    return " ".join(parts)


def expression_text(expression: Any) -> str:
    """One expression or value in nft's own words, as far as they are needed to recognise it."""
    if isinstance(expression, bool):
        return "exists" if expression else "missing"
    if isinstance(expression, list):
        return ",".join(expression_text(part) for part in expression)
    if not isinstance(expression, dict):
        return str(expression)
    if len(expression) != 1:
        return " ".join(f"{name} {expression_text(value)}" for name, value in expression.items())
    [(kind, body)] = expression.items()
    writer = WRITERS.get(kind)
    if writer is not None:
        return writer(body)
    return kind if body is None else f"{kind} {expression_text(body)}"


def bare(entry: Any) -> Any:
    """An element without its timeout, comment or counter."""
    return entry["elem"]["val"] if isinstance(entry, dict) and "elem" in entry else entry


def reject_with(body: dict[str, Any] | None) -> str:
    if not body:
        return "icmpx port-unreachable"
    return " ".join(str(body[part]) for part in ("type", "expr") if part in body)


def _match_text(body: dict[str, Any]) -> str:
    operator = body.get("op", "==")
    shown = "" if operator in ("==", "in") else f"{operator} "
    return f"{expression_text(body.get('left'))} {shown}{_right_text(body)}"


def _right_text(body: dict[str, Any]) -> str:
    left, right = body.get("left"), body.get("right")
    named = isinstance(left, dict) and left.get("meta", {}).get("key") in ("iif", "oif", "iifname", "oifname")
    return f'"{right}"' if named and isinstance(right, str) and not right.startswith("@") else expression_text(right)


def _set_text(body: Any) -> str:
    if isinstance(body, dict):
        return f"{body.get('op', 'add')} {body.get('set')} {{ {expression_text(body.get('elem'))} }}"
    entries = body if isinstance(body, list) else [body]
    return "{ " + ", ".join(
        f"{expression_text(entry[0])} : {expression_text(entry[1])}" if isinstance(entry, list) else expression_text(entry)
        for entry in entries
    ) + " }"  # fmt: skip


def _meta_text(body: dict[str, Any]) -> str:
    key = str(body.get("key"))
    plain = ("iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup")
    return key if key in plain else f"meta {key}"


def _ct_text(body: dict[str, Any]) -> str:
    return " ".join(["ct", *([body["dir"]] if "dir" in body else []), str(body.get("key"))])


def _fib_text(body: dict[str, Any]) -> str:
    flags = body.get("flags") or []
    return f"fib {' . '.join([flags] if isinstance(flags, str) else flags)} {body.get('result')}"


def _nat_text(kind: str) -> Callable[[Any], str]:
    def text(body: dict[str, Any] | None) -> str:
        body = body or {}
        address, port = body.get("addr"), body.get("port")
        words = [kind, *([body["family"]] if "family" in body else [])]
        if address is not None or port is not None:
            shown = "" if address is None else expression_text(address)
            shown = f"[{shown}]" if ":" in shown and port is not None and body.get("family") == "ip6" else shown
            words += ["to", shown + (f":{expression_text(port)}" if port is not None else "")]
        flags = body.get("flags") or []
        return " ".join(words + ([flags] if isinstance(flags, str) else flags))

    return text


def _reject_text(body: dict[str, Any] | None) -> str:
    with_what = reject_with(body)
    return "reject" if with_what == "icmpx port-unreachable" else f"reject with {with_what}"


def _counter_text(body: Any) -> str:
    # without its values: the text names the rule, before and after packets came to it
    return f"counter name {body}" if isinstance(body, str) else "counter"


def _limit_text(body: dict[str, Any]) -> str:
    over = "over " if body.get("inv") else ""
    return f"limit rate {over}{body.get('rate')}/{body.get('per', 'second')}"


def _quota_text(body: Any) -> str:
    """Without what is used up, which would give the rule another name in each run."""
    if not isinstance(body, dict):
        return "quota"
    return f"quota {'over ' if body.get('inv') else ''}{body.get('val')} {body.get('val_unit', 'bytes')}"


def _log_text(body: dict[str, Any] | None) -> str:
    return " ".join(["log", *(f'prefix "{body["prefix"]}"' for _ in [0] if body and "prefix" in body)])


WRITERS: dict[str, Callable[[Any], str]] = {
    "match": _match_text,
    "payload": lambda body: f"{body.get('protocol', '@' + str(body.get('base')))} {body.get('field', '')}".strip(),
    "meta": _meta_text,
    "ct": _ct_text,
    "fib": _fib_text,
    "prefix": lambda body: f"{body['addr']}/{body['len']}",
    "range": lambda body: "-".join(expression_text(part) for part in body),
    "concat": lambda body: " . ".join(expression_text(part) for part in body),
    "set": _set_text,
    "elem": lambda body: expression_text(body.get("val")) if isinstance(body, dict) else expression_text(body),
    "vmap": lambda body: f"{expression_text(body.get('key'))} vmap {expression_text(body.get('data'))}",
    "map": lambda body: f"{expression_text(body.get('key'))} map {expression_text(body.get('data'))}",
    "jump": lambda body: f"jump {body['target']}",
    "goto": lambda body: f"goto {body['target']}",
    "mangle": lambda body: f"{expression_text(body.get('key'))} set {expression_text(body.get('value'))}",
    "dnat": _nat_text("dnat"),
    "snat": _nat_text("snat"),
    "masquerade": _nat_text("masquerade"),
    "redirect": _nat_text("redirect"),
    "reject": _reject_text,
    "counter": _counter_text,
    "limit": _limit_text,
    "quota": _quota_text,
    "last": lambda _body: "last",
    "log": _log_text,
    "xt": lambda body: f"xt {body['type']} {body['name']}" if isinstance(body, dict) else "xt",
    "&": lambda body: f"{expression_text(body[0])} & {expression_text(body[1])}",
    "|": lambda body: f"{expression_text(body[0])} | {expression_text(body[1])}",
    "^": lambda body: f"{expression_text(body[0])} ^ {expression_text(body[1])}",
}
