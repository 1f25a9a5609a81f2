"""How large storage is made that grows: more than asked for, so that it seldom grows."""

_BLOCK = 64


def column_capacity(columns: int) -> int:
    """Room for so many columns, one more, and some to come.

    An eighth to come is enough: what is copied when they are used up is then eight columns for
    each that is written, while a step looks at all of them. Doubling would take twice the memory.
    """
    wanted = columns + 1 + max(columns // 8, _BLOCK // 2)
    return -(-wanted // _BLOCK) * _BLOCK


def power_of_two(number: int) -> int:
    """The next one."""
    return 1 << (number - 1).bit_length()
