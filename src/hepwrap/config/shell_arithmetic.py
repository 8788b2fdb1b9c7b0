"""`$((expression))` of a POSIX shell (XCU 2.6.4) for what configuration files need: whole numbers, names, operators.

Pure: an expression in which `$NAME` is already replaced, and a way to look up names.  Must not know files.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable


class NotArithmetic(ValueError):
    """The expression cannot be evaluated; `str()` says why."""


def _divide(left: int, right: int) -> int:
    """As in C: towards zero."""
    if right == 0:
        raise NotArithmetic("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * _divide(left, right)


_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.Mod: _remainder,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)")


def evaluate(expression: str, lookup: Callable[[str], str]) -> int:
    """The value; `lookup` gives a variable's text ("" where unset).  NotArithmetic for all that is not understood."""
    text = expression.strip()
    if len(text) > 1000:
        raise NotArithmetic("the expression is too long")
    if not text:
        return 0
    # Python's own numbers with a leading zero are errors, C's are octal.
    decimal = re.sub(r"(?<![\w.])0[0-7]+(?!\w)", lambda match: str(int(match[0], 8)), text)
    try:
        tree = ast.parse(decimal, mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise NotArithmetic(f"{text!r} is no arithmetic that hepwrap understands") from error
    return _value(tree.body, lookup, text)


def _value(node: ast.expr, lookup: Callable[[str], str], text: str) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return _number(lookup(node.id), node.id)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, lookup, text))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_value(node.left, lookup, text), _value(node.right, lookup, text))
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        compare = _COMPARISONS[type(node.ops[0])]
        return int(compare(_value(node.left, lookup, text), _value(node.comparators[0], lookup, text)))
    raise NotArithmetic(f"{text!r} is no arithmetic that hepwrap understands")


def _number(text: str, name: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        raise NotArithmetic(f"{name} is {text!r}, which is no whole number")
    digits = text.lstrip("+-").lower()
    value = int(digits, 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10)
    return -value if text.startswith("-") else value
