"""Which images a record counts as right: a bit for each, written as text."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from ascl_tf.errors import RunError

# Of an accuracy in percent: less is lost when the sum over 10,000 images is divided.
_TOLERANCE = 1e-6


def pack(flags: np.ndarray) -> str:
    """Returns bool [N] in base64: eight images to a byte, the first in its highest bit.

    The last byte is filled up with zeros. 10,000 images take 1,668 characters.

    Example:
        >>> pack(np.array([True, False, True]))
        'oA=='
    """
    return base64.b64encode(np.packbits(flags).tobytes()).decode("ascii")


def verdicts_of(record: Mapping[str, Any], name: str = "robust") -> np.ndarray:
    """Returns which images of a record are right, bool [N], in the order of the data set.

    Args:
        record: of any measurement.
        name: "robust", right under the protocol; or "standard", right without attack. A record
            that holds the former only has measured no other.

    Raises:
        RunError: if it has none, as records of older versions; or if they are not as many as
            its images, or have not its accuracy.

    Example:
        >>> record = {"num_images": 3, "robust_accuracy": 200 / 3, "verdicts": {"robust": "oA=="}}
        >>> verdicts_of(record)
        array([ True, False,  True])
    """
    count, accuracy = record["num_images"], record[f"{name}_accuracy"]
    packed = record.get("verdicts")
    if not isinstance(packed, Mapping) or "robust" not in packed:
        raise RunError(
            expected=f"a verdict on each of its {count} images",
            found="none: an older version wrote it",
        )
    flags = _unpack(packed.get(name, packed["robust"]), count)
    if flags is None or abs(100 * flags.mean() - accuracy) > _TOLERANCE:
        raise RunError(
            expected=f"verdicts on {count} images, {accuracy:.2f} % of them right",
            found="others: the record was changed",
        )
    return flags


def _unpack(text: Any, count: int) -> np.ndarray | None:
    """Returns the `count` flags that `text` holds, or None if it does not hold just these."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return None
    bits = np.unpackbits(np.frombuffer(content, np.uint8)).astype(bool)
    is_whole = len(content) == (count + 7) // 8 and not bits[count:].any()
    return bits[:count] if is_whole else None
