"""Options on draws: what they refuse, and what a plan records of them."""

from typing import Any

import numpy as np
import pytest

from clesmote_losses.errors import ArgumentError
from clesmote_losses.smote.draw_options import DrawOptions, recorded_draws


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({}, {}),
        ({"real_share": 0, "partners": "nearest"}, {}),
        ({"real_share": np.float32(0.5), "partners": "any"}, {"real_share": 0.5, "partners": "any"}),
        ({"blend": "all"}, {"blend": "all", "blend_share": 0.5}),
        ({"blend": "all", "blend_share": 0.2}, {"blend": "all", "blend_share": 0.2}),
    ],
)
def test_what_is_not_the_default_is_recorded_as_plain_values_and_read_again(
    options: dict[str, Any], recorded: dict[str, Any]
) -> None:
    draws = DrawOptions(**options)
    assert draws.given() == recorded
    assert {type(value) for value in recorded.values()} <= {str, float}
    assert {type(value) for value in draws.given().values()} <= {str, float}
    assert recorded_draws({"sampler": "SMOTE", **recorded}) == draws


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_its_range_is_refused(share: float) -> None:
    with pytest.raises(ArgumentError, match="real_share must be in"):
        DrawOptions(real_share=share)
    with pytest.raises(ArgumentError, match="blend_share must be between"):
        DrawOptions(blend="all", blend_share=share)


@pytest.mark.parametrize("share", [0, 1])
def test_blends_or_real_images_alone_are_no_blend_share(share: float) -> None:
    with pytest.raises(ArgumentError, match="both excluded"):
        DrawOptions(blend="all", blend_share=share)


@pytest.mark.parametrize(
    ("options", "refusing"),
    [
        ({}, []),
        ({"real_share": 0.5}, ["RandomOverSampler"]),
        ({"blend": "all"}, ["RandomOverSampler", "BorderlineSMOTE", "ADASYN"]),
        ({"partners": "any"}, ["RandomOverSampler", "BorderlineSMOTE", "ADASYN"]),
    ],
)
def test_an_option_without_a_meaning_for_a_sampler_is_refused(options: dict[str, Any], refusing: list[str]) -> None:
    for sampler in ("SMOTE", "RandomOverSampler", "BorderlineSMOTE", "ADASYN"):
        if sampler in refusing:
            with pytest.raises(ArgumentError, match=rf"{sampler}.*[Pp]ass sampler=SMOTE\(\)") as caught:
                DrawOptions(**options).check_sampler(sampler)
            assert caught.value.argument in options
        else:
            DrawOptions(**options).check_sampler(sampler)
