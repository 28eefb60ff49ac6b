"""Time for a busy machine: with this imported, what is opened waits longer than is usual.

A call that took 3 s is too much for an application, and no fault that a test looks for. Programs in processes of their own
begin with `PRELUDE`.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from ferromq import AsyncProducer, AsyncTransactionProducer, Client, Producer, TransactionProducer

PATIENCE = 60.0

PRELUDE = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import patience\n"


def _give(kind: type, **limits: float) -> None:
    """Has `kind` made with these limits where it is not said otherwise."""
    made = kind.__init__  # type: ignore[misc]

    @functools.wraps(made)
    def make(self: object, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **{**limits, **options})

    kind.__init__ = make  # type: ignore[misc]


_give(Client, call_timeout=PATIENCE, connect_timeout=PATIENCE)
for _kind in (Producer, AsyncProducer, TransactionProducer, AsyncTransactionProducer):
    _give(_kind, send_timeout=PATIENCE)

# What the client warns of, on a busy machine something that took long, is not to be printed where nobody looks at logs.
logging.getLogger("ferromq.client").addHandler(logging.NullHandler())
