"""Operations that are declared once, for threads and for asyncio.

    class Operations:
        @operation
        def topics(self, *, cluster: str | None = None) -> Call[list[str]]:
            return Call(cluster=cluster)

`Admin(...).topics()` is then a list and `AsyncAdmin(...).topics()` a future of one, for readers and for type checkers. The
native half knows the operation by the method's name; a test compares both.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, overload

from . import _ferromq
from ._bridge import bridge
from ._client import Client, Owner

if TYPE_CHECKING:
    from asyncio import Future

    from typing_extensions import Concatenate, ParamSpec

    _P = ParamSpec("_P")
else:
    # Python 3.9 has none, and nothing looks at it while a program runs.
    _P = TypeVar("_P")
_R = TypeVar("_R")


class Call(Generic[_R]):
    """What is asked for, and is to be answered with `_R`: arguments that JSON can say."""

    def __init__(self, **arguments: object) -> None:
        self.arguments = arguments


class Asking(Owner):
    """Asks, and waits for the answer."""

    def __init__(self, client: Client | str) -> None:
        super().__init__(client)
        self._native = _ferromq.Admin(self.client._native)

    def _ask(self, operation: str, arguments: str) -> Any:
        return self._native.call(None, operation, arguments)


class AsyncAsking(Owner):
    """Asks, and has a future of the answer."""

    def __init__(self, client: Client | str) -> None:
        super().__init__(client)
        self._native = _ferromq.Admin(self.client._native)

    def _ask(self, operation: str, arguments: str) -> Future[Any]:
        return self._native.call(bridge(), operation, arguments)


class operation(Generic[_P, _R]):
    """Makes a method of what says which call it is."""

    def __init__(self, declared: Callable[Concatenate[Any, _P], Call[_R]]) -> None:
        self._declared = declared

    @overload
    def __get__(self, admin: Asking, owner: Any = None) -> Callable[_P, _R]: ...
    @overload
    def __get__(self, admin: AsyncAsking, owner: Any = None) -> Callable[_P, Future[_R]]: ...
    @overload
    def __get__(self, admin: None, owner: Any = None) -> Callable[Concatenate[Any, _P], Call[_R]]: ...
    def __get__(self, admin: Asking | AsyncAsking | None, owner: Any = None) -> Any:
        declared = self._declared
        if admin is None:
            return declared

        @functools.wraps(declared)
        def call(*positional: Any, **named: Any) -> Any:
            arguments = declared(admin, *positional, **named).arguments
            return admin._ask(declared.__name__, json.dumps(arguments))

        return call
