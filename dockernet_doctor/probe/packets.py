"""What neighbours send, read by scapy: any bytes at all, which scapy is not ready for everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class GarbledError(ValueError):
    """Bytes that are no packet of the protocol that they claim to be."""


def understood(read: Callable[[], T]) -> T:
    """What `read` makes of a packet. GarbledError for whatever scapy raises over its bytes."""
    try:
        return read()
    except Exception as error:
        raise GarbledError(f"{type(error).__name__}: {error}") from error
