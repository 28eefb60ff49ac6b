"""What `with` and `async with` do with what is started and closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class AsyncClosing(ABC):
    """Closed at the end of `async with`."""

    @abstractmethod
    async def close(self) -> None:
        """Closes it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class AsyncStarting(AsyncClosing):
    """Started at the beginning of `async with`, too."""

    @abstractmethod
    async def start(self) -> None:
        """Starts it."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self


class Closing(ABC):
    """Closed at the end of `with`."""

    @abstractmethod
    def close(self) -> None:
        """Closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Starting(Closing):
    """Started at the beginning of `with`, too."""

    @abstractmethod
    def start(self) -> None:
        """Starts it."""

    def __enter__(self) -> Self:
        self.start()
        return self
