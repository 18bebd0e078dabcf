from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.lookup import look_up


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_values_are_replaced(dtype: type) -> None:
    labels = look_up(np.array([[0, 7], [200, 7]], dtype), {0: 5, 7: 255, 200: 0, 3: 1})

    assert labels.dtype == np.uint8
    assert_array_equal(labels, [[5, 255], [0, 255]])


@pytest.mark.parametrize(
    ("values", "dtype", "listing"),
    [
        ([0, 9, 8, 9], np.uint8, "8, 9$"),
        ([0, 65535], np.uint16, "65535$"),
        ([0, -1, 70000, 65536], np.int32, "-1, 65536, 70000$"),
        (range(20), np.uint8, "1, 2, 3, 4, 5, …"),
    ],
)
def test_values_that_the_table_lacks_are_named(values: list[int], dtype: type, listing: str) -> None:
    with pytest.raises(AnnotationError, match=f"unknown label {listing}"):
        look_up(np.array([values], dtype), {0: 0})
