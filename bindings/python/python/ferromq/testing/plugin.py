"""Pytest's fixture `ferromq_broker`: a broker for the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import LocalBroker


@pytest.fixture(scope="session")
def ferromq_broker() -> Iterator[LocalBroker]:
    """A `LocalBroker`, started when a test first asks for it."""
    with LocalBroker() as broker:
        yield broker
