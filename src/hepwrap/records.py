"""Values with named fields: what `dataclasses` makes of a class, for a tenth of what that costs a launch.

A launch makes eighty such classes before the command can start.  `dataclasses` writes six methods for each as source
text and compiles them (0.3 ms a class), and brings `inspect` along.  Here methods are shared, and only `__init__` is
compiled, for classes that have more than a few instances.  The words mean what they mean there (PEP 557, PEP 681), so
that either can stand for the other; what is not needed is missing: there are always slots, and no order.

Owns that, and must not know who uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from typing import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        """For type checkers only."""
        return lambda decorated: decorated


T = TypeVar("T")
_MISSING: Any = object()
#: Instances that are not worth compiling anything for.
FEW = 8


class _Field:
    """What is said about one field."""

    __slots__ = ("default", "factory", "init")

    def __init__(self, default: Any, factory: Any, init: bool) -> None:
        self.default, self.factory, self.init = default, factory, init


def field(*, default: Any = _MISSING, default_factory: Callable[[], Any] = _MISSING, init: bool = True) -> Any:
    """As `dataclasses.field`: a default, or what makes one for each instance, or no argument of `__init__`."""
    return _Field(default, default_factory, init)


@dataclass_transform(field_specifiers=(field,))
def dataclass(*, frozen: bool = False, slots: Literal[True]) -> Callable[[type[T]], type[T]]:
    """As `dataclasses.dataclass(frozen=..., slots=True)`."""
    assert slots
    return lambda found: _made(found, frozen=frozen)


def _made(found: type[T], *, frozen: bool) -> type[T]:
    """The class once more, with slots and with the methods that it does not have itself."""
    own = {name: _field_of(found, name) for name in found.__annotations__}
    fields = {**getattr(found, "__record_fields__", {}), **own}
    content = {name: value for name, value in found.__dict__.items() if name not in (*own, "__dict__", "__weakref__")}
    content |= {"__slots__": tuple(own), "__record_fields__": fields, "__match_args__": tuple(fields)}
    for name, method in _methods(attrgetter(*fields) if fields else _nothing, frozen=frozen).items():
        content.setdefault(name, method)
    metaclass: Any = type(found)
    made: type[T] = metaclass(found.__name__, found.__bases__, content)
    made.__qualname__ = found.__qualname__
    if "__init__" not in found.__dict__:
        made.__init__ = _init_of(made)  # type: ignore[method-assign]
    return made


def _field_of(found: type, name: str) -> _Field:
    said = found.__dict__.get(name, _MISSING)
    return said if isinstance(said, _Field) else _Field(said, _MISSING, init=True)


def _nothing(_self: object) -> tuple[()]:
    return ()


def _methods(values: Callable[[Any], Any], *, frozen: bool) -> dict[str, Any]:
    """Those that instances have; `values` reads all fields at once."""

    def is_equal(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    shared = {"__eq__": is_equal, "__repr__": _represented, "__hash__": None}
    if not frozen:
        return shared
    return shared | {
        "__hash__": lambda self: hash(values(self)),
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
    }


def _represented(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__record_fields__)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse_set(self: Any, name: str, _value: object) -> None:
    raise AttributeError(f"a {self.__class__.__qualname__} does not change: cannot assign to {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise AttributeError(f"a {self.__class__.__qualname__} does not change: cannot delete {name!r}")


def _init_of(made: Any) -> Callable[..., None]:
    """An `__init__` that fills the first few instances itself, and puts a compiled one in its place for all others."""
    left = FEW

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 or not _filled(self, made.__record_fields__, args, kwargs):
            made.__init__ = _compiled(made)
            made.__init__(self, *args, **kwargs)

    return __init__


def _filled(self: Any, fields: dict[str, _Field], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Stores the arguments; False, so that a compiled `__init__` says what is wrong, where they do not fit."""
    names = [name for name, told in fields.items() if told.init]
    values = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(values) != len(args) + len(kwargs) or not kwargs.keys() <= set(names):
        return False
    for name, told in fields.items():
        value = values.get(name, told.default)
        if value is _MISSING and told.factory is not _MISSING:
            value = told.factory()
        if value is not _MISSING:
            getattr(self.__class__, name).__set__(self, value)
        elif told.init:
            return False
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _compiled(made: Any) -> Callable[..., None]:
    """`__init__(self, fields...)`, which stores through the slots, so that it works where assigning is refused."""
    names: dict[str, Any] = {"_missing": _MISSING}
    arguments, lines = ["self"], []
    for name, told in made.__record_fields__.items():
        names |= {
            f"_set_{name}": getattr(made, name).__set__,
            f"_make_{name}": told.factory,
            f"_default_{name}": told.default,
        }
        is_made, has_default = told.factory is not _MISSING, told.default is not _MISSING
        if told.init:
            arguments.append(f"{name}=_default_{name}" if has_default or is_made else name)
        else:
            lines += [f"{name} = _default_{name}"] * (has_default or is_made)
        if is_made:
            lines.append(f"if {name} is _missing: {name} = _make_{name}()")
        if told.init or has_default or is_made:
            lines.append(f"_set_{name}(self, {name})")
    lines += ["self.__post_init__()"] * hasattr(made, "__post_init__")
    exec("\n ".join([f"def __init__({', '.join(arguments)}):", *lines, "return"]), names)
    compiled: Callable[..., None] = names["__init__"]
    return compiled


def replace(found: T, **changes: Any) -> T:
    """As `dataclasses.replace`: the same values but for `changes`."""
    record: Any = found
    return type(found)(**{name: getattr(found, name) for name in record.__record_fields__} | changes)


def as_mapping(found: Any) -> dict[str, Any]:
    """The fields of a record by name; values as they are."""
    return {name: getattr(found, name) for name in found.__record_fields__}
