"""What the client logs, handed to Python's loggers: `ferromq.client.…`, below `ferromq`."""

from __future__ import annotations

import logging
import os
import threading

from ._ferromq import next_log_records, set_log_level

_logger = logging.getLogger("ferromq")
_lock = threading.Lock()
_started_in: int | None = None


def start() -> None:
    """Starts handing on, once a process. The level is that of the logger `ferromq`, looked at every second."""
    global _started_in
    with _lock:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
        set_log_level(_level())
        threading.Thread(target=_hand_on, name="ferromq-logging", daemon=True).start()


def _level() -> int:
    return max(1, min(50, _logger.getEffectiveLevel()))


def _hand_on() -> None:
    try:
        while True:
            records, lost = next_log_records()
            for level, name, text in records:
                logger = logging.getLogger(name)
                if logger.isEnabledFor(level):
                    logger.handle(logger.makeRecord(name, level, "(ferromq)", 0, text, (), None))
            if lost:
                _logger.warning("%d log records were lost: more came than could be handed on", lost)
            set_log_level(_level())
    except Exception:  # The interpreter is ending.
        return


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # The lock may be held by a thread that the child does not have.
    os.register_at_fork(after_in_child=_forget_lock)
