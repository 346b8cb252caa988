"""The array types that every module of numbers uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Codes = NDArray[np.int8]  # places in a short list; -1: none
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.signedinteger[Any]]  # int64; of numbers of groups int32, of which millions stand in memory
