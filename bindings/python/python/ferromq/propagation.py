"""Trace context in properties of messages, written and read by whatever tracing library an application uses.

    from opentelemetry import propagate
    ferromq.propagation.use(propagate.inject)             # what is sent carries the current context
    context = propagate.extract(message.properties)       # in a consumer

With OpenTelemetry's default propagator these are the W3C's `traceparent` and `tracestate`.
"""

from __future__ import annotations

from typing import Any, Callable

from ._ferromq import Message

active: Callable[[Message], Message] | None = None
"""What is done with each message before it is sent; set by `use`."""


def use(inject: Callable[[dict[str, str]], Any] | None) -> None:
    """Has every producer write what `inject` puts into a dictionary into the properties of what it sends; with `None`
    no more. Properties that a message has already are left as they are."""
    global active
    if inject is None:
        active = None
        return
    write = inject

    def carry(message: Message) -> Message:
        carrier: dict[str, str] = {}
        write(carrier)
        return message.with_properties(carrier) if carrier else message

    active = carry


def carrying(message: Message) -> Message:
    """The message as it is to be sent."""
    return message if active is None else active(message)
