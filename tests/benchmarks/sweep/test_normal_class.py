"""The normal class is put first."""

import numpy as np
import pytest

from benchmarks.sweep.normal_class import put_normal_first
from tests.support.benchmark_images import small_source


def test_strata_and_members_are_in_the_new_order_and_images_stay():
    source = small_source(count=3, tested=2)
    found = put_normal_first(source, "b")
    assert found.strata == ("b", "a", "c")
    names = [[found.strata[i] for i in found.stratum], [source.strata[i] for i in source.stratum]]
    assert names[0] == names[1]
    assert np.array_equal(found.images, source.images)
    tested = [found.strata[row.argmax()] for row in found.tests["test"].members]
    assert tested == ["a", "a", "b", "b", "c", "c"]


def test_a_class_called_normal_needs_not_be_named():
    source = small_source(("cough", "normal"))
    assert put_normal_first(source, None).strata == ("normal", "cough")
    assert put_normal_first(source, "cough").strata == ("cough", "normal")


@pytest.mark.parametrize(
    ("normal", "message"), [(None, "--normal CLASS is needed: which of a, b, c"), ("d", "--normal d is no class")]
)
def test_no_class_and_an_unknown_class_are_refused(normal, message):
    with pytest.raises(ValueError, match=message):
        put_normal_first(small_source(), normal)
