# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas as text, in Python's notation: ``1/2*x + 1/2*x*erf(3/4*x)``.

A node of ONNX has no formulas for attributes, and people read text. What is written is read back as
the same :class:`~.algebra.Expression`.
"""

from __future__ import annotations

import ast
from fractions import Fraction

from .algebra import Atom, Expression, as_expression, of_atom

_OPERAND = "x"


def written(formula: Expression) -> str:
    """A formula as text; constants by their names, which must be identifiers."""
    return " + ".join(sorted(_term(product, factor) for product, factor in formula.terms)) or "0"


def _term(product: frozenset[tuple[Atom, int]], factor: Fraction) -> str:
    powers = sorted(_atom(atom) + (f"**{power}" if power != 1 else "") for atom, power in product)
    return "*".join(powers if powers and factor == 1 else [str(factor), *powers])


def _atom(atom: Atom) -> str:
    if atom.kind == "constant":
        return str(atom.detail[0])
    if atom.of is None:
        return atom.kind
    return f"{atom.kind}({', '.join([written(atom.of), *map(str, atom.detail)])})"


def parsed(text: str) -> Expression:
    """The formula of a text.

    Raises
    ------
    ValueError
        If :func:`written` writes no such text.
    """
    try:
        return _parsed(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError) as error:
        raise ValueError(f"expected a formula, found {text!r}") from error


def _parsed(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=int(value)):
            return as_expression(value)
        case ast.Name(id=name):
            known = name == _OPERAND
            return of_atom(Atom(name) if known else Atom("constant", None, (name,)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_parsed(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _parsed(left) + _parsed(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _parsed(left) * _parsed(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _parsed(left) / _parsed(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_parsed(left), _number(right))
        case ast.Call(func=ast.Name(id=kind), args=[argument, *details], keywords=[]):
            return of_atom(Atom(kind, _parsed(argument), tuple(map(_detail, details))))
    raise TypeError(node)


def _power(base: Expression, exponent: Fraction) -> Expression:
    power = base.power(abs(int(exponent)))
    return power if exponent > 0 else power.inverse()


def _number(node: ast.expr) -> Fraction:
    number = _parsed(node).number
    if number is None:
        raise TypeError(node)
    return number


def _detail(node: ast.expr) -> Fraction | None:
    return None if isinstance(node, ast.Constant) and node.value is None else _number(node)
