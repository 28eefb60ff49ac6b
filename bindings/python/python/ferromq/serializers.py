"""Bodies that are more than bytes or text.

    Message("Orders", order, serializer=JSON)        message.value(JSON)
    OrderJson = JsonSerializer(Order)                # a pydantic model, or a dataclass
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class Serializer(Protocol[T]):
    """What turns values into bodies and back: implement it for formats of your own."""

    def serialize(self, value: T) -> bytes:
        """The body that a value is sent as."""
        ...

    def deserialize(self, body: bytes) -> T:
        """The value that a body holds."""
        ...


class JsonSerializer(Generic[T]):
    """JSON in UTF-8: of what `json` knows, or of a pydantic model or dataclass that is given."""

    def __init__(self, model: type[T] | None = None) -> None:
        self._model = model

    def serialize(self, value: T) -> bytes:
        """The body that a value is sent as."""
        dump: Callable[..., str] | None = getattr(value, "model_dump_json", None)
        if dump is not None:
            # The names that `model_validate_json` reads.
            return dump(by_alias=True).encode()
        plain: Any = value
        if dataclasses.is_dataclass(plain) and not isinstance(plain, type):
            plain = dataclasses.asdict(plain)
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()

    def deserialize(self, body: bytes) -> T:
        """The value that a body holds."""
        validate: Callable[[bytes], T] | None = getattr(self._model, "model_validate_json", None)
        if validate is not None:
            return validate(body)
        plain = json.loads(body)
        if self._model is not None and dataclasses.is_dataclass(self._model):
            return cast("T", self._model(**plain))
        return cast("T", plain)


JSON: JsonSerializer[Any] = JsonSerializer()
"""JSON of dictionaries, lists, texts and numbers."""
