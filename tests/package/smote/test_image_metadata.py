"""What an image carries besides pixels: a transform sees in a blend what it sees in both parents."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor
from torchvision import tv_tensors

from clesmote_losses import SMOTEDataset
from clesmote_losses.smote.blending import blend
from clesmote_losses.smote.image_metadata import shared_metadata
from clesmote_losses.smote.resizing import resize
from tests.support.smote_data import Items

RNG = np.random.default_rng(0)
LABELS = [0] * 14 + [1] * 8


def sky_above(size: int = 16) -> np.ndarray:
    """A picture whose upper half is bright."""
    pixels = RNG.integers(0, 20, (size, size, 3), dtype=np.uint8)
    pixels[: size // 2] += 200
    return pixels


def opened(image: Image.Image, file_format: str, **options: Any) -> Image.Image:
    """An image as ``Image.open`` gives it."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return Image.open(file)


def sideways(file_format: str, date: str, convert: str | None = None) -> Image.Image:
    """A photo of a phone held upright: turned in the file, with the orientation and its date in EXIF."""
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, date
    image = opened(Image.fromarray(sky_above()).rotate(90), file_format, exif=exif)
    return image if convert is None else image.convert(convert)


def rises(image: Any) -> float:
    pixels = np.asarray(image).astype(float)
    half = len(pixels) // 2
    return float(pixels[:half].mean() - pixels[half:].mean())


@pytest.mark.parametrize("size", [None, (8, 12)], ids=["as they are", "resized"])
@pytest.mark.parametrize("convert", [None, "RGB"], ids=["opened", "converted"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_transpose_turns_a_blend_of_photos_upright(file_format: str, convert: str | None, size: Any) -> None:
    parents = [sideways(file_format, f"2024:01:0{day} 10:00:00", convert) for day in (1, 2)]
    mixed = blend(*(image if size is None else resize(image, size) for image in parents), 0.4)
    assert rises(ImageOps.exif_transpose(mixed)) > 150
    # and as many loaders write it: convert first, then look at EXIF
    assert rises(ImageOps.exif_transpose(mixed.convert("L"))) > 150
    assert ImageOps.exif_transpose(mixed).getexif().get(0x0112, 1) == 1


def test_an_orientation_in_xmp_or_set_by_the_user_is_one_too() -> None:
    plain = Image.fromarray(sky_above()).rotate(90)
    xmp = [b'<x tiff:Orientation="6" date="%d"/>' % day for day in (1, 2)]
    for parents in ([opened(plain, "WEBP", xmp=text) for text in xmp], [plain.copy(), plain.copy()]):
        for parent in parents:
            if "xmp" not in parent.info:
                parent.getexif()[0x0112] = 6
        assert rises(ImageOps.exif_transpose(parents[0])) > 150
        assert rises(ImageOps.exif_transpose(blend(*parents, 0.5))) > 150


def test_photos_held_in_different_ways_are_refused_when_the_data_set_is_made() -> None:
    images = [sideways("JPEG", "2024") if i != 19 else opened(Image.fromarray(sky_above()), "JPEG") for i in range(22)]
    with pytest.raises(ValueError, match=r"images 14 and 19: they differ in orientation.*6 and None.*exif_transpose"):
        SMOTEDataset(Items(images, LABELS))
    SMOTEDataset(Items([ImageOps.exif_transpose(image) for image in images], LABELS))


def test_damaged_exif_is_no_orientation() -> None:
    image = Image.fromarray(sky_above())
    image.info["exif"] = b"Exif\x00\x00nonsense"
    assert blend(image, image.copy(), 0.5).info == {"exif": b"Exif\x00\x00nonsense"}


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("icc_profile", PROFILE),
        ("transparency", (0, 0, 0)),
        ("transparency", b"\0\1"),
        ("gamma", 0.45),
        ("window", (40, 400)),
    ],
)
def test_what_changes_pixels_goes_along_if_equal_and_is_refused_if_not(key: str, value: Any) -> None:
    one, same, other = (Image.fromarray(sky_above()) for _ in range(3))
    one.info[key] = same.info[key] = value
    mixed = blend(one, same, 0.5)
    assert mixed.info == {key: value}
    assert resize(mixed, (4, 4)).info == {key: value}
    for pair in ((one, other), (other, one)):
        with pytest.raises(ValueError, match=f"they differ in {key}, by which a transform may make other pixels"):
            blend(*pair, 0.5)


@pytest.mark.parametrize("different", [{"dpi": (72, 72)}, {"comment": b"by me"}, {"Software": "7"}, {"jfif": 258}])
def test_what_tells_of_the_file_is_left_out_where_it_differs(different: dict[str, Any]) -> None:
    one, other = (opened(Image.fromarray(sky_above()), "JPEG", dpi=(300, 300)) for _ in range(2))
    assert blend(one, other, 0.5).info == one.info
    assert blend(one, other, 0.5).format == "JPEG"
    other.info.update(different)
    assert blend(one, other, 0.5).info == {k: v for k, v in one.info.items() if k not in different}


def test_writing_to_what_a_blend_carries_changes_no_parent() -> None:
    one, other = (Image.fromarray(sky_above()) for _ in range(2))
    for image in (one, other):
        image.info["crops"] = [1, 2]
    data = SMOTEDataset(Items([one.copy() if i % 2 else other.copy() for i in range(22)], LABELS), cache_mb=8)
    for _ in range(2):
        image = data[22][0]
        assert image.info == {"crops": [1, 2]}
        image.info["crops"].append(3)
    assert one.info == {"crops": [1, 2]}


class Scan(Tensor):
    """A user's own tensor, with an attribute that a transform reads."""

    @staticmethod
    def of(values: Tensor, **attributes: Any) -> "Scan":
        scan = values.as_subclass(Scan)
        vars(scan).update(attributes)
        return scan


class Dose(np.ndarray):
    """A user's own array, with a unit."""

    @staticmethod
    def of(values: np.ndarray, **attributes: Any) -> "Dose":
        dose = values.view(Dose)
        vars(dose).update(attributes)
        return dose


@pytest.mark.parametrize(
    "make", [Scan.of, Dose.of, lambda values, **attributes: Scan.of(values.T, **attributes).as_subclass(Tensor)]
)
def test_attributes_of_users_tensors_and_arrays_go_along_or_are_refused(make: Any) -> None:
    rng = np.random.default_rng(1)

    def image(**attributes: Any) -> Any:
        values = rng.random((8, 8))
        if make is Dose.of:
            return make(values, **attributes)
        scan = make(torch.from_numpy(values))
        vars(scan).update(attributes)
        return scan

    one = image(spacing=[0.5, 0.5], path="a.dcm", window=np.array([40, 400]))
    other = image(spacing=[0.5, 0.5], path="b.dcm", window=np.array([40, 400]))
    mixed = blend(one, other, 0.3)
    assert type(mixed) is type(one)
    assert mixed.spacing == [0.5, 0.5]
    assert mixed.spacing is not one.spacing
    assert mixed.window.tolist() == [40, 400]
    assert not hasattr(mixed, "path")
    assert resize(mixed, (4, 4)).spacing == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"they differ in spacing.*\[0.5, 0.5\] and \[0.7, 0.7\]"):
        blend(one, image(spacing=[0.7, 0.7]), 0.5)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_stays_a_matrix_and_a_memory_map_becomes_an_array(tmp_path: Any) -> None:
    array = RNG.integers(0, 256, (4, 4), dtype=np.uint8)
    matrix = np.matrix(array)
    assert type(blend(matrix, matrix, 0.5)) is np.matrix
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert type(mapped) is np.memmap
    mixed = blend(mapped, array[::-1], 0.0)
    assert type(mixed) is np.ndarray
    np.testing.assert_array_equal(mixed, array)


def test_a_video_stays_one_and_gradients_are_asked_for_as_by_the_base() -> None:
    video = tv_tensors.Video(torch.rand(2, 3, 4, 4))
    assert type(blend(video, video.clone(), 0.5)) is tv_tensors.Video
    parameter = torch.nn.Parameter(torch.rand(3, 4, 4))
    assert blend(parameter, parameter, 0.5).requires_grad
    assert not blend(parameter.detach(), parameter.detach(), 0.5).requires_grad


def test_metadata_of_one_image_are_shared_with_itself() -> None:
    metadata = {"anything": object()}
    assert shared_metadata(metadata, metadata) is metadata


# --- MONAI ---


def meta_tensor(spacing: float = 2.0, shift: float = 0.0, **meta: Any) -> Any:
    data = pytest.importorskip("monai.data")
    affine = torch.diag(torch.tensor([spacing, spacing, 1.0, 1.0], dtype=torch.float64))
    affine[:2, 3] = shift
    return data.MetaTensor(
        torch.rand(1, 8, 8), affine=affine, meta={"filename_or_obj": f"{shift}.nii", "kind": "CT", **meta}
    )


def test_a_blend_of_meta_tensors_has_their_spacing_and_what_they_agree_on() -> None:
    one, other = meta_tensor(shift=1.0), meta_tensor(shift=5.0)
    one.applied_operations.append({"class": "Flip"})
    mixed = blend(one, other, 0.5)
    assert type(mixed) is type(one)
    assert mixed.pixdim.tolist() == one.pixdim.tolist() == [2, 2]
    assert torch.equal(mixed.affine, one.affine)
    assert mixed.meta["kind"] == "CT"
    assert mixed.meta["space"] == one.meta["space"]
    assert "filename_or_obj" not in mixed.meta
    assert mixed.applied_operations == []
    mixed.affine[0, 0] = 9
    assert one.affine[0, 0] == 2


def test_monai_resamples_a_blend_to_the_size_of_its_parents() -> None:
    one, other = meta_tensor(2.0), meta_tensor(2.0)
    spacing = pytest.importorskip("monai.transforms").Spacing(pixdim=(1.0, 1.0))
    assert spacing(blend(one, other, 0.5)).shape == spacing(one).shape == (1, 15, 15)


def test_scans_of_other_spacing_axes_or_pending_operations_are_refused() -> None:
    one = meta_tensor(2.0)
    turned = meta_tensor(2.0)
    turned.affine = torch.diag(torch.tensor([-2.0, 2.0, 1.0, 1.0], dtype=torch.float64))
    for other in (meta_tensor(1.0), turned):
        with pytest.raises(ValueError, match=r"they differ in affine.*Spacing and Orientation of MONAI"):
            blend(one, other, 0.5)
    told = r"other pixels: \[\[2\.0, 0\.0, .* 1\.0\]\] and \[\[-2\.0, 0\.0, .* 1\.0\]\]\. To blend"  # whole
    with pytest.raises(ValueError, match=told):
        blend(one, turned, 0.5)
    with pytest.raises(ValueError, match="they differ in space"):
        blend(one, meta_tensor(2.0, space="LPS"), 0.5)
    lazy = meta_tensor(2.0)
    lazy.push_pending_operation({"class": "Zoom"})
    with pytest.raises(ValueError, match="they differ in _pending_operations"):
        blend(one, lazy, 0.5)
    images = [meta_tensor(2.0 if i != 17 else 1.0) for i in range(22)]
    with pytest.raises(ValueError, match="images 14 and 17: they differ in affine"):
        SMOTEDataset(Items(images, LABELS))


def test_a_meta_tensor_is_not_resized_since_its_spacing_would_be_wrong() -> None:
    images = [meta_tensor() for _ in range(22)]
    with pytest.raises(
        ValueError, match=r"real image 14: .*MetaTensor has another spacing after image_size=.*MONAI's Resize"
    ):
        SMOTEDataset(Items(images, LABELS), image_size=4)
    assert SMOTEDataset(Items(images, LABELS), image_size=8)[23][0].shape == (1, 8, 8)
