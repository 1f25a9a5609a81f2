"""A small assembler for filters of system calls (classic BPF, as seccomp runs it).

A filter sees the number of a call, the architecture and the six arguments, and answers whether
the kernel runs it. It cannot follow pointers.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

from agents.sandbox.kernel import calls

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Offsets in `struct seccomp_data`.
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16

_ALLOW = 0x7FFF_0000
_FAIL = 0x0005_0000
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2


class Line(NamedTuple):
    """One instruction; the jumps count lines to skip."""

    code: int
    value: int
    if_true: int = 0
    if_false: int = 0


class Check(NamedTuple):
    """What an argument of a call must be, or must not, for the call to be refused.

    Attributes:
        argument: counted from 0; its low 32 bits are looked at.
        mask: bits that are looked at.
        values: what those bits may be.
        refuses_others: refuse the call when they are none of `values`, not when they are one.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF
    refuses_others: bool = False


def refuse(number: int, error: int, check: Check | None = None) -> list[Line]:
    """Lines that let call `number` fail with `error`, always or by one of its arguments."""
    fail = Line(_RETURN, _FAIL | error)
    body = [fail] if check is None else [*_unless_passed(check), fail, Line(_LOAD, _NUMBER)]
    return [Line(_IF_EQUAL, number, if_false=len(body)), *body]


def assemble(architecture: int, first_unknown: int, rules: Sequence[Line], error: int) -> bytes:
    """A filter of `rules` that allows everything else which `architecture` is known to have.

    Calls from the number `first_unknown` on fail with `error`, as on an older kernel; so do calls
    of any other architecture that the processor could run.
    """
    lines = [
        Line(_LOAD, _ARCHITECTURE),
        Line(_IF_EQUAL, architecture, if_true=1),
        Line(_RETURN, _FAIL | error),
        Line(_LOAD, _NUMBER),
        Line(_IF_AT_LEAST, first_unknown, if_false=1),
        Line(_RETURN, _FAIL | error),
        *rules,
        Line(_RETURN, _ALLOW),
    ]
    return b"".join(bytes(_Instruction(*_ordered(line))) for line in lines)


def install(program: bytes) -> None:
    """Put this process and all that it starts under `program`, for good."""
    code = ctypes.create_string_buffer(program, len(program))
    count = len(program) // ctypes.sizeof(_Instruction)
    header = _Program(count, ctypes.addressof(code))
    calls.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header))


def _unless_passed(check: Check) -> list[Line]:
    """Lines that skip the one after them when the argument is as it may be."""
    count = len(check.values)
    if check.refuses_others:
        compares = [
            Line(_IF_EQUAL, value, if_true=count - index)
            for index, value in enumerate(check.values)
        ]
    else:
        compares = [
            Line(_IF_EQUAL, value, if_true=count - 1 - index, if_false=int(index == count - 1))
            for index, value in enumerate(check.values)
        ]
    return [Line(_LOAD, _ARGUMENTS + 8 * check.argument), Line(_AND, check.mask), *compares]


def _ordered(line: Line) -> tuple[int, int, int, int]:
    return line.code, line.if_true, line.if_false, line.value


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint16), ("lines", ctypes.c_void_p))
