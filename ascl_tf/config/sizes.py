"""Numbers of bytes as a user writes them: 8GB, 500 MiB, 2e9. No TensorFlow."""

import re

# Powers of 1000, and with an i of 1024, as IEC and the makers of disks have them.
_UNITS = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
SIZE_HELP = "bytes, or with a unit such as 8GB or 500MiB"


def parse_size(text: str) -> int:
    """Returns the number of bytes that `text` says, at least 0.

    Raises:
        ValueError: if it says none.

    Example:
        >>> parse_size("1.5 GB"), parse_size("2MiB"), parse_size("100")
        (1500000000, 2097152, 100)
    """
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([a-z]*)", text.strip(), re.IGNORECASE)
    unit = _UNITS.get(match[2].upper()) if match else None
    try:
        if match and unit:
            return int(float(match[1]) * unit)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"expected {SIZE_HELP}; found {text!r}")


def format_size(num_bytes: float) -> str:
    """Returns a number of bytes in the unit that suits it, such as 1.5 GB.

    Example:
        >>> format_size(1_500_000_000), format_size(999)
        ('1.5 GB', '999 B')
    """
    units = ["B", "KB", "MB", "GB", "TB"]
    while num_bytes >= 1000 and len(units) > 1:
        num_bytes /= 1000
        del units[0]
    return f"{num_bytes:.3g} {units[0]}" if num_bytes < 1000 else f"{num_bytes:.0f} {units[0]}"
