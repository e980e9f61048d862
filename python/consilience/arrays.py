"""What callers hand over as arrays, with errors that name the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError

__all__ = ["as_array"]


def as_array(
    values: Any, argument: str, error: type[InvalidArgumentError] = InvalidArgumentError
) -> NDArray[Any]:
    """Anything array-like as an array, not copied where it is one.

    Raises
    ------
    InvalidArgumentError
        If its rows differ in length, or it cannot be read as an array; of the class `error`.
    """
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as cause:
        raise error(f"{argument} cannot be read as an array ({cause}); give rows of equal length") from cause
