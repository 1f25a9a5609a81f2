"""How large storage is made that grows: more than asked for, so that it seldom grows."""

_MIN_COLUMNS = 64


def column_capacity(columns: int) -> int:
    """Room for so many columns, one more, and some to come."""
    return max(_MIN_COLUMNS, power_of_two(columns + 1 + columns // 8))


def power_of_two(number: int) -> int:
    """The next one."""
    return 1 << (number - 1).bit_length()
