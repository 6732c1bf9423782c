import dataclasses

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from clesmote_losses.doctor.duplicates import find_duplicates
from clesmote_losses.doctor.image_facts import ImageFacts, facts_of
from tests.support.class_folders import picture

FACTS = [facts_of(picture(seed)) for seed in range(12)]
NONE_HELD_OUT = np.zeros(12, dtype=bool)


def with_flipped_bits(facts: ImageFacts, number: int, *, correlation: float = 0.97) -> ImageFacts:
    """Another image, of whose hash so many bits differ, and with a thumbnail of about this correlation."""
    grey = np.frombuffer(facts.thumbnail, dtype=np.uint8).astype(float)
    noise = np.random.default_rng(0).normal(size=grey.shape) * grey.std() * np.sqrt(1 / correlation**2 - 1)
    thumbnail = (grey + noise).round().clip(0, 255).astype(np.uint8)
    assert abs(np.corrcoef(grey, thumbnail)[0, 1] - correlation) < 0.01
    bits = np.unpackbits(np.frombuffer(facts.hash, dtype=np.uint8))
    bits[:number] ^= 1
    changed = {"hash": np.packbits(bits).tobytes(), "thumbnail": thumbnail.tobytes(), "digest": bytes([number]) * 16}
    return dataclasses.replace(facts, **changed)


def test_different_images_are_no_duplicates() -> None:
    assert find_duplicates(FACTS, NONE_HELD_OUT).exact == find_duplicates(FACTS, NONE_HELD_OUT).near == []


def test_the_same_pixels_make_a_group() -> None:
    facts = [*FACTS[:9], FACTS[4], FACTS[2], FACTS[4]]
    found = find_duplicates(facts, NONE_HELD_OUT)
    assert sorted(found.exact) == [[2, 10], [4, 9, 11]]
    assert found.near == []


@pytest.mark.parametrize(("distance", "is_near"), [(1, True), (24, True), (25, False)])
def test_images_are_near_up_to_a_number_of_bits(distance: int, is_near: bool) -> None:
    found = find_duplicates([*FACTS[:11], with_flipped_bits(FACTS[5], distance)], NONE_HELD_OUT)
    assert found.near == ([(5, 11, distance)] if is_near else [])


def test_more_bits_may_differ_if_the_thumbnails_are_equal() -> None:
    for number, pairs in ((64, [(5, 11, 64)]), (65, [])):
        other = dataclasses.replace(with_flipped_bits(FACTS[5], number), thumbnail=FACTS[5].thumbnail)
        assert find_duplicates([*FACTS[:11], other], NONE_HELD_OUT).near == pairs


def test_a_hash_that_is_near_by_chance_is_refused_by_the_thumbnail() -> None:
    other = with_flipped_bits(FACTS[5], 3, correlation=0.9)
    assert find_duplicates([*FACTS[:11], other], NONE_HELD_OUT).near == []


def test_a_copy_in_validation_is_found_beside_many_in_validation() -> None:
    """Its nearest five are of its own part."""
    series = [with_flipped_bits(FACTS[0], number) for number in range(1, 11)]
    far = with_flipped_bits(FACTS[0], 20)
    facts = [far, *FACTS[1:], *series]
    held_out = np.arange(len(facts)) >= 12
    near = find_duplicates(facts, held_out).near
    assert {b for a, b, _ in near if a == 0} >= set(range(12, 22))


def test_constant_and_flat_images_are_no_duplicates() -> None:
    black = [facts_of(Image.new("L", (32, 32))) for _ in range(3)]
    dots = []
    for place in range(3):
        image = Image.new("L", (32, 32))
        image.putpixel((place, 5), 255)
        dots.append(facts_of(image))
    found = find_duplicates([*black, *dots], np.zeros(6, dtype=bool))
    assert found.exact == found.near == []


def test_handwritten_digits_are_no_near_duplicates() -> None:
    images = (load_digits().images[:400] * 15).astype(np.uint8)
    found = find_duplicates([facts_of(image) for image in images], np.arange(400) > 300)
    assert found.exact == found.near == []
