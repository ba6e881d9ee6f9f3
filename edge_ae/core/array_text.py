"""Arrays of numbers <-> text for a snapshot: decimal, as short as gives back the same numbers.

Sensors send few digits, and deflate makes half of them of what base64 of the binary numbers takes. Missing values stay
missing; an infinite one, which is some number beyond any sensor's, becomes the largest there is.
"""

from base64 import b64decode

import numpy as np
import orjson
from numpy.typing import NDArray


def text_of(array: NDArray[np.floating]) -> str:
    """The numbers of an array, one after the other."""
    largest = np.finfo(array.dtype).max
    return orjson.dumps(np.clip(array, -largest, largest).ravel(), option=orjson.OPT_SERIALIZE_NUMPY).decode()


def array_of(text: str, kind: type[np.floating]) -> NDArray[np.floating]:
    """The numbers of a text, in a row. `kind`: theirs. Raises ValueError or TypeError for what is none."""
    if not text.startswith("["):  # as versions before 0.3 wrote it
        return np.frombuffer(b64decode(text), kind)
    return np.array(orjson.loads(text), kind)
