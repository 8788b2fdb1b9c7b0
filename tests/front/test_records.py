"""Our records are what dataclasses would have made of the same classes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hepwrap import records

MAKERS = {"dataclasses": dataclasses, "records": records}


def classes(maker: Any) -> SimpleNamespace:
    """The same classes, made by either."""

    class Base:
        __slots__ = ()

        def total(self: Any) -> int:
            return int(self.a + self.b)

    @maker.dataclass(frozen=True, slots=True)
    class Frozen(Base):
        """A value."""

        a: int
        b: int = 2
        names: tuple[str, ...] = ()

        @property
        def twice(self) -> int:
            return 2 * self.a

        @classmethod
        def of(cls, text: str) -> Any:
            return cls(int(text))

    @maker.dataclass(slots=True)
    class Open:
        a: int = 1
        made: list[int] = maker.field(default_factory=list)
        later: int = maker.field(init=False)
        fixed: int = maker.field(init=False, default=7)
        lists: list[int] = maker.field(init=False, default_factory=list)

        def __post_init__(self) -> None:
            self.later = self.a + 1

    @maker.dataclass(frozen=True, slots=True)
    class One:
        a: object

    @maker.dataclass(frozen=True, slots=True)
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "own"

    return SimpleNamespace(Frozen=Frozen, Open=Open, One=One, Own=Own)


def outcome(what: Callable[..., object]) -> object:
    """A value, or the kind of error."""
    try:
        return what()
    except (TypeError, AttributeError) as error:
        return TypeError if isinstance(error, TypeError) else AttributeError


def changed(instance: Any, name: str, value: object) -> object:
    setattr(instance, name, value)
    return getattr(instance, name)


QUESTIONS: dict[str, Callable[[SimpleNamespace, Any], object]] = {
    "repr": lambda c, _: repr(c.Frozen(1, names=("x",))).split(".")[-1],
    "repr of an open one": lambda c, _: repr(c.Open()).split(".")[-1],
    "equal": lambda c, _: (c.Frozen(1) == c.Frozen(1, 2), c.Frozen(1) == c.Frozen(2), c.Open() == c.Open()),
    "another class": lambda c, _: (c.Frozen(1) == c.One(1), c.One((1,)) == (1,), c.One(1) != 1),
    "one field that is a tuple": lambda c, _: (c.One((1, 2)) == c.One((1, 2)), c.One((1,)) == c.One(1)),
    "in a set": lambda c, _: len({c.Frozen(1), c.Frozen(1, 2), c.Frozen(3)}),
    "hash of an open one": lambda c, _: hash(c.Open()),
    "hash of what has no hash": lambda c, _: hash(c.One([])),
    "own methods": lambda c, _: (repr(c.Own(1)), hash(c.Own(1)), c.Own(1) == c.Own(2)),
    "set when frozen": lambda c, _: changed(c.Frozen(1), "a", 2),
    "delete when frozen": lambda c, _: delattr(c.Frozen(1), "a"),
    "set when open": lambda c, _: changed(c.Open(), "a", 2),
    "no such slot": lambda c, _: changed(c.Open(), "other", 2),
    "no dict": lambda c, _: c.Open().__dict__,
    "too few": lambda c, _: c.Frozen(),
    "too many": lambda c, _: c.Frozen(1, 2, (), 4),
    "unknown word": lambda c, _: c.Frozen(1, other=1),
    "twice": lambda c, _: c.Frozen(1, a=1),
    "no argument": lambda c, _: c.Open(later=3),
    "a list for each": lambda c, _: (c.Open().made is c.Open().made, c.Open().lists is c.Open().lists),
    "a list that is given": lambda c, _: c.Open(1, [3]).made,
    "after init": lambda c, _: (c.Open(4).later, c.Open().fixed),
    "more than a few": lambda c, _: [repr(c.Frozen(n)).split(".")[-1] for n in range(3 * records.FEW)],
    "after init, once": lambda c, _: (c.Open().later, len(c.Open(lists=[]).lists)),
    "methods": lambda c, _: (c.Frozen(1).total(), c.Frozen(1).twice, c.Frozen.of("9").a),
    "replace": lambda c, m: repr(m.replace(c.Frozen(1), b=5)).split(".")[-1],
    "replace what is not there": lambda c, m: m.replace(c.Frozen(1), other=5),
    "match": lambda c, _: (c.Frozen.__match_args__, c.Frozen.__slots__),
    "text": lambda c, _: (c.Frozen.__doc__, c.Frozen.__name__, c.Frozen.__qualname__, c.Frozen.__module__),
}


@pytest.mark.parametrize("few", [0, records.FEW, 100], ids=["compiled", "both", "filled"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_records_answer_as_dataclasses_do(question: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether their first instances are filled one by one or by a compiled `__init__`."""
    monkeypatch.setattr(records, "FEW", few)
    ask = QUESTIONS[question]
    answers = {name: outcome(lambda maker=maker: ask(classes(maker), maker)) for name, maker in MAKERS.items()}
    assert answers["records"] == answers["dataclasses"]


def test_a_mapping_has_all_fields_in_order() -> None:
    assert list(records.as_mapping(classes(records).Frozen(1)).items()) == [("a", 1), ("b", 2), ("names", ())]


def test_inherited_fields_come_first() -> None:
    def inherited(maker: Any) -> str:
        @maker.dataclass(frozen=True, slots=True)
        class Base:
            a: int

        @maker.dataclass(frozen=True, slots=True)
        class More(Base):
            b: int = 3

        return repr(More(1)).split(".")[-1] + str(More(1) == More(1, 3))

    assert inherited(records) == inherited(dataclasses)


def test_records_bring_no_heavy_module_along() -> None:
    script = "import sys; before = set(sys.modules); import hepwrap.records; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    brought = set(eval(done.stdout))
    assert {"dataclasses", "inspect", "ast"} & brought == set()
