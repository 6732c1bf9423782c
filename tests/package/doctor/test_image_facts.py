import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clesmote_losses.doctor.image_facts import ImageFacts, facts_of, facts_of_file
from tests.support.class_folders import picture


def bits(one: ImageFacts, other: ImageFacts) -> int:
    return int(np.unpackbits(np.frombuffer(one.hash, np.uint8) ^ np.frombuffer(other.hash, np.uint8)).sum())


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def test_pil_image_array_and_tensor_of_the_same_pixels_have_the_same_hash() -> None:
    image = picture(0, (50, 40), "L")
    array = np.asarray(image)
    facts = [
        facts_of(value) for value in (image, array, array[..., None], torch.from_numpy(array.copy())[None], array / 255)
    ]
    assert {one.shape for one in facts} == {(40, 50)}
    assert all(bits(one, facts[0]) <= 12 for one in facts)
    assert facts[0].digest == facts[1].digest
    assert bits(facts[0], facts_of(picture(1, (50, 40), "L"))) > 60


def test_a_compressed_copy_has_other_pixels_and_nearly_the_same_hash() -> None:
    one, other = facts_of(picture(0)), facts_of(jpeg(picture(0), 60))
    assert one.digest != other.digest
    assert bits(one, other) <= 64 < bits(one, facts_of(picture(1)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16", "I", "F", "HSV"])
def test_every_mode_of_pillow_is_read(mode: str) -> None:
    image = (
        Image.fromarray(np.asarray(picture(0, mode="L")).astype(np.uint16) * 100)
        if mode == "I;16"
        else picture(0).convert(mode)
    )
    facts = facts_of(image)
    assert (facts.kind, facts.shape, facts.error) == (mode, (48, 48), "")
    assert facts.hash


def test_volumes_and_low_precision_are_read() -> None:
    assert facts_of(torch.rand(1, 20, 24, 16)).shape == (20, 24, 16)
    assert facts_of(torch.rand(3, 20, 24).to(torch.bfloat16)).hash
    assert facts_of(np.random.default_rng(0).random((20, 24, 3)).astype(np.float16)).shape == (20, 24)


def test_values_above_8_bits_are_seen() -> None:
    deep = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    assert facts_of(deep).is_deep
    assert not facts_of(Image.fromarray((np.arange(4096) % 256).astype(np.uint16).reshape(64, 64))).is_deep
    assert not facts_of(picture(0)).is_deep


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_seen(value: float) -> None:
    array = np.random.default_rng(0).random((8, 8))
    assert facts_of(array).is_finite
    array[3, 3] = value
    assert not facts_of(array).is_finite


def test_the_share_of_one_extreme_value() -> None:
    array = np.full((10, 10), 255, dtype=np.uint8)
    assert facts_of(array).largest_share == 1
    assert not facts_of(array).hash
    array[0, :3] = 7, 9, 11
    assert facts_of(array).largest_share == 0.97


def test_a_file_tells_format_orientation_and_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0).save(tmp_path / "a.jpg", exif=exif, icc_profile=b"some profile")
    facts = facts_of_file(str(tmp_path / "a.jpg"))
    assert (facts.file_format, facts.orientation, len(facts.profile)) == ("JPEG", 6, 8)
    assert facts.seconds > 0


@pytest.mark.parametrize("content", [b"", b"<html>", "cut"])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | str) -> None:
    file = tmp_path / "a.png"
    picture(0).save(file)
    file.write_bytes(file.read_bytes()[:300] if isinstance(content, str) else content)
    assert "Error" in facts_of_file(str(file)).error
    assert not facts_of_file(str(file)).hash


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(TypeError, match="images must be"):
        facts_of("image")
