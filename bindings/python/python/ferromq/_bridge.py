"""The native half's completions, drained by the event loop that they are for."""

from __future__ import annotations

import asyncio
import os
import threading

from ._ferromq import Bridge

_bridges: dict[asyncio.AbstractEventLoop, Bridge] = {}


def bridge() -> Bridge:
    """The bridge of the loop that runs in this thread."""
    loop = asyncio.get_running_loop()
    found = _bridges.get(loop)
    return _join(loop) if found is None else found


def _join(loop: asyncio.AbstractEventLoop) -> Bridge:
    for known in list(_bridges):
        if known.is_closed():
            _bridges.pop(known, None)
    try:
        made = Bridge(loop, True)
        loop.add_reader(made.fileno(), made.drain)
    except NotImplementedError:  # Windows' default loop has no readers.
        made = Bridge(loop, False)
        threading.Thread(target=_call_soon, args=(loop, made), name="ferromq-bridge", daemon=True).start()
    _bridges[loop] = made
    return made


def _call_soon(loop: asyncio.AbstractEventLoop, bridge: Bridge) -> None:
    try:
        while True:
            bridge.woken()
            loop.call_soon_threadsafe(bridge.drain)
    except Exception:  # The loop is closed, or the interpreter is ending.
        return


if hasattr(os, "register_at_fork"):
    # A child that goes on in a loop of its parent's needs a pipe of its own.
    os.register_at_fork(after_in_child=_bridges.clear)
