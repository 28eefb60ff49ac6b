"""Choices and states."""

from __future__ import annotations

import enum


class SendStatus(enum.Enum):
    """How safe a stored message is. In each case consumers get it."""

    STORED = "stored"
    """As safe as the broker is configured to make messages."""
    FLUSH_DISK_TIMEOUT = "flush_disk_timeout"
    """Not known to be on disk: the flush took longer than the broker waits."""
    FLUSH_SLAVE_TIMEOUT = "flush_slave_timeout"
    """Not known to be on a replica: it took longer than the broker waits."""
    SLAVE_NOT_AVAILABLE = "slave_not_available"
    """On no replica: none is near enough."""


class TransactionState(enum.Enum):
    """What has become of a transaction."""

    COMMIT = "commit"
    """It came about: consumers get the message."""
    ROLLBACK = "rollback"
    """It did not: nobody gets the message."""
    UNKNOWN = "unknown"
    """Not known yet: the broker asks later."""


class Outcome(enum.Enum):
    """What came of a message; what a handler may return."""

    DONE = "done"
    """It is done; so it is if a handler returns nothing."""
    LATER = "later"
    """It failed: deliver it again later, and as a dead letter in the end; so it is if a handler raises."""
    DEAD_LETTER = "dead_letter"
    """It failed for good: it becomes a dead letter at once."""
