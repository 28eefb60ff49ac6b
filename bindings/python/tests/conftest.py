"""What the tests share: one server, names of their own for topics and groups, and waiting.

The server is a broker of our own, or what `FERROMQ_TEST_SERVER` names, as `cargo xtask official -- pytest` does. Tests of what
only a broker of our own has are marked with `own_broker`, and are deselected where the server is another.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Callable

import patience  # Importing it is what it is for.
import pytest

from ferromq import FerroMQError, MessageQueue, PullConsumer
from ferromq.testing import LocalBroker

LIMIT = 120.0
"""How long anything may take: a shared machine can be ten times slower than this one."""

WHOLE = 3 * LIMIT
"""How long a test may take, or a program that it runs."""

# A shell that starts something in the background lets it ignore Ctrl-C, and what that starts does so as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count()


GIVEN = os.environ.get("FERROMQ_TEST_SERVER")
"""NameServers of a server that runs already."""

OFFICIAL = os.environ.get("FERROMQ_TEST_KIND") == "official"
"""Whether that is the official server."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is about our broker where another is tested, and has it counted."""
    if GIVEN:
        left_out = [item for item in items if item.get_closest_marker("own_broker")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """NameServers: of `FERROMQ_TEST_SERVER`, or of a broker of our own."""
    if GIVEN:
        yield GIVEN
        return
    settings = {"transactionTimeOut": "500", "transactionCheckInterval": "500"}
    with LocalBroker(settings=settings) as broker:
        yield broker.address


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"T{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def group() -> str:
    """A group of the test's own."""
    return f"G{os.getpid()}-{next(_numbers)}"


def eventually(condition: Callable[[], Any]) -> Any:
    """What `condition` says, as soon as it is true of anything. A server that is too busy to answer is asked again."""
    limit = time.monotonic() + LIMIT
    while True:
        late = time.monotonic() > limit
        try:
            if said := condition():
                return said
        except FerroMQError as error:
            if late or not error.retryable:
                raise
        assert not late, "it does not come about"
        time.sleep(0.02)


def wait_for_end(server: str, queue: MessageQueue, end: int) -> None:
    """Waits until the broker hands out the messages of a queue up to this offset: official ones store first, and note it
    in the queue a little later."""
    with PullConsumer(server, "waiting") as consumer:
        eventually(lambda: consumer.offset_of(queue, "last") >= end)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Runs coroutine functions in a loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), WHOLE))
    return True
