"""Thumbnails of images of every kind, and of the samples of an inspection."""

import base64
import dataclasses
import io

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE
from PIL import Image

from clesmote_losses import SMOTEDataset
from clesmote_losses.inspection.thumbnails import ImageReader, data_uri, draw_alike
from tests.support.inspections import Digits, inspected

RAMP = np.linspace(0, 1, 48).reshape(6, 8)  # black at the upper left, white at the lower right
GREY = (RAMP * 255).round().astype(np.uint8)
COLOR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def pixels(image):
    (picture,) = draw_alike([image], 100)
    return np.asarray(picture)


KINDS_OF_GREY = [
    *("L", "LA", "array", "last", "2-D tensor", "first", "unit", "bfloat16", "half"),
    "I;16",
    "uint16",
    "F",
    "normalised",
    "volume",
    "two channels",
]


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("LA"),
        GREY,
        GREY[..., None],
        torch.from_numpy(GREY),
        torch.from_numpy(GREY)[None],
        torch.from_numpy(RAMP).float()[None],  # floats in [0, 1]
        torch.from_numpy(RAMP)[None].to(torch.bfloat16),
        RAMP.astype(np.float16),
        Image.fromarray((RAMP * 3000 + 500).astype(np.uint16)),  # 12 of 16 bits
        (RAMP * 3000 + 500).astype(np.uint16),
        Image.fromarray((RAMP * 9 - 4).astype(np.float32)),
        torch.from_numpy(RAMP * 4 - 2)[None],  # normalised
        torch.from_numpy(GREY)[None, None].repeat(1, 5, 1, 1),  # a volume of five slices
        torch.from_numpy(np.stack([GREY, 255 - GREY])),  # two channels: the first
    ],
    ids=KINDS_OF_GREY,
)
def test_a_grey_image_of_any_kind_is_a_ramp_from_black_to_white(image):
    drawn = pixels(image)
    assert drawn.shape == (6, 8, 3)
    assert (drawn == drawn[..., :1]).all()
    assert abs(drawn[..., 0].astype(int) - GREY).max() <= 2  # bfloat16 has eight bits


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(COLOR),
        Image.fromarray(COLOR).convert("RGBA"),
        Image.fromarray(COLOR).convert("RGB").quantize(256),
        COLOR,
        torch.from_numpy(COLOR).permute(2, 0, 1),  # channels first
        torch.from_numpy(COLOR).permute(2, 0, 1) / 255,
        np.moveaxis(COLOR, -1, 0),
        np.concatenate([COLOR, COLOR], -1),  # six channels: the first three
    ],
    ids=["RGB", "RGBA", "palette", "last", "first", "float", "array-first", "six"],
)
def test_a_colour_image_of_any_kind_keeps_its_colours(image):
    assert abs(pixels(image).astype(int) - COLOR).max() <= 2


def test_images_that_are_drawn_together_share_their_grey_scale():
    dark, bright = (RAMP * 1000).astype(np.uint16), (RAMP * 4000).astype(np.uint16)
    both = [np.asarray(picture)[-1, -1, 0] for picture in draw_alike([bright, dark], 100)]
    assert both == [255, 64]
    assert pixels(dark)[-1, -1, 0] == 255


def test_values_that_are_not_finite_and_constant_images_are_drawn_too():
    broken = np.where(RAMP > 0.9, np.nan, RAMP * 7 - 3)
    assert pixels(broken)[-1, -1, 0] == 0
    assert pixels(np.full((4, 4), np.inf)).shape == (4, 4, 3)
    assert (pixels(np.full((4, 4), 7, dtype=np.int32)) == 0).all()


@pytest.mark.parametrize("shape", [(3, 500, 20), (1, 4000)])
def test_a_thumbnail_is_no_larger_than_asked_and_keeps_its_proportions(shape):
    (picture,) = draw_alike([torch.rand(shape)], 50)
    height, width = shape[-2:]
    assert max(picture.size) == 50
    assert picture.width / picture.height == pytest.approx(width / height, rel=0.3) or min(picture.size) == 1


def test_a_synthetic_sample_is_the_blend_of_its_parents_before_the_transform():
    inspection = inspected()
    row = inspection.table[(inspection.table["lam"] - 0.5).abs() < 0.3].iloc[0]
    indices = [int(row[name]) for name in ("base", "index", "neighbor")]
    base, blend, neighbor = (np.asarray(p).astype(float) for p in ImageReader(inspection).thumbnails(indices, 32))
    raw = Digits()
    np.testing.assert_array_equal(base[..., 0], np.asarray(raw[indices[0]][0]))
    assert abs((1 - row["lam"]) * base + row["lam"] * neighbor - blend).max() <= 0.51
    assert abs(base - neighbor).max() > 50


def test_thumbnails_of_samples_that_were_drawn_anew_are_refused():
    sampler = SMOTE(random_state=0)
    train_set = SMOTEDataset(Digits(), sampler=sampler, redraw="epoch", transform=inspected().train_set.transform)
    inspection = dataclasses.replace(inspected(), train_set=train_set)
    ImageReader(inspection)
    train_set.set_epoch(1)
    with pytest.raises(ValueError, match="has drawn new synthetic samples since the inspection"):
        ImageReader(inspection)
    of_others = inspected().table.assign(base=inspected().table["neighbor"])
    with pytest.raises(ValueError, match="has drawn new"):
        ImageReader(dataclasses.replace(inspected(), table=of_others))


def test_a_picture_is_text_that_is_a_jpeg_image():
    kind, text = data_uri(Image.fromarray(COLOR)).split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (8, 6)
