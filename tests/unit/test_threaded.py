"""Work beside this thread gives back what it returns, and what it raises."""

from __future__ import annotations

import threading

import pytest

from dockernet_doctor.threaded import Threaded


def test_what_the_work_returns_is_the_result() -> None:
    assert Threaded(threading.get_ident).result() != threading.get_ident()


def test_what_the_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    thread = Threaded(lambda: int("absent"))
    with pytest.raises(ValueError, match="absent"):
        thread.result()
