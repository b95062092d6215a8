"""What the property tests draw from, and how often."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

CHECK = settings(max_examples=60, derandomize=True, deadline=None, database=None)
TEXT = st.text(max_size=8) | st.sampled_from(["8/255", "1e999", "-1", "0", "nan", "1/0", "true"])
NUMBERS = st.floats() | st.integers() | st.sampled_from([0, 1, -1, 8, 8 / 255, math.nan])
DTYPES = st.sampled_from([np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64, bool])
