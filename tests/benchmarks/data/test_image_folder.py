"""Folders of image files."""

import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.image_folder import kermany_patient, load_image_folder
from tests.support.official_formats import xray


def test_a_patient_with_test_images_is_not_trained_on(tmp_path):
    for i, name in enumerate(["train/sick/person1_virus_1", "train/sick/person2_virus_2", "train/sick/person1_bacteria_9",
                              "test/sick/person1_virus_7", "train/well/IM-0001-0001", "val/well/NORMAL2-IM-0001-0001",
                              "test/well/IM-0002-0001"]):  # fmt: skip
        xray(tmp_path / f"{name}.jpeg", i)
    source = load_image_folder(tmp_path, ["well", "sick"], mode="L", parts=("train", "val"), patient_of=kermany_patient)
    assert source.available == {"well": 2, "sick": 1}
    assert source.patient.tolist() == ["IM-0001", "NORMAL2-IM-0001", "person2"]
    assert list(source.flow.values()) == [5, 3]
    assert source.images.shape == (3, 32, 32, 1)


def test_images_of_a_folder_come_at_one_size_under_their_own_class(tmp_path):
    for part in ("train", "test"):
        for name, grey in (("dark", 60), ("bright", 190)):
            for i in range(3):
                path = tmp_path / part / name / f"{i}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((20 + i, 30, 3), grey, dtype=np.uint8)).save(path)
    source = load_image_folder(tmp_path, ["bright", "dark"], image_size=16)
    assert source.images.shape == (6, 16, 16, 3)
    assert source.images[source.stratum == 0].min() > 150 > 100 > source.images[source.stratum == 1].max()
    assert load_image_folder(tmp_path).strata == ("bright", "dark")
    with pytest.raises(ValueError, match="no class 'brihgt' among the training images; there are bright, dark"):
        load_image_folder(tmp_path, ["brihgt"])
    (tmp_path / "train" / "dark" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.jpg cannot be read as an image"):
        load_image_folder(tmp_path)
    deep = tmp_path / "train" / "bright" / "deep.png"
    Image.fromarray(np.full((20, 20), 4000, dtype=np.uint16)).save(deep)
    with pytest.raises(ValueError, match=r"deep\.png cannot be read as an image: it has more than 8 bits a value"):
        load_image_folder(tmp_path)
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "test" / "empty").mkdir()
    shutil.copy(tmp_path / "test" / "dark" / "1.jpg", tmp_path / "test" / "empty")
    with pytest.raises(ValueError, match=r"class 'empty' has no training image in .*train/empty"):
        load_image_folder(tmp_path)
    (tmp_path / "train" / "empty").rename(tmp_path / "train" / "emtpy")
    with pytest.raises(ValueError, match=r"class 'empty' is in test/ and not in train/, which has bright, dark, emtpy"):
        load_image_folder(tmp_path)
    shutil.rmtree(tmp_path / "train" / "emtpy")
    shutil.rmtree(tmp_path / "test" / "empty")
    shutil.rmtree(tmp_path / "test" / "bright")
    with pytest.raises(ValueError, match=r"class 'bright' is in train/ but there is no image in .*bright"):
        load_image_folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(ValueError, match="has no folder test/"):
        load_image_folder(tmp_path)
