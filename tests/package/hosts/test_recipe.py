"""The training set that the flags describe, from timm's own data sets on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_dataset

from clesmote_losses import SMOTEPlan
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import description, training_set
from clesmote_losses.hosts.strata_file import read_strata

SMOTE = {"smote": "smote"}


def base(data, name=""):
    return create_dataset(name, root=data, split="train", is_training=True)


def counts(train_set):
    return np.bincount(train_set.labels).tolist()


@pytest.mark.parametrize("name", ["", "torch/image_folder"])
def test_the_default_raises_every_class_to_the_largest(name, data):
    train_set = training_set(base(data, name), Options(**SMOTE))
    assert counts(train_set) == [24, 24, 24]
    assert train_set.plan.options["random_state"] == 0
    assert description(train_set) == "44 real + 28 synthetic samples: one 24, three 8 + 16, two 12 + 12"
    nothing = training_set(base(data, name), Options(**SMOTE, smote_strategy="one=24"))
    assert description(nothing) == "44 real + 0 synthetic samples: one 24, three 8, two 12"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("minority", [24, 24, 12]),  # folders in the order of their names: one, three, two
        ("not majority", [24, 24, 24]),
        ("three=20", [24, 20, 12]),
        ("three=20,2=15", [24, 20, 15]),
    ],
)
def test_strategies(strategy, expected, data):
    assert counts(training_set(base(data), Options(**SMOTE, smote_strategy=strategy))) == expected


def test_a_ratio_is_for_two_classes(data, tmp_path):
    for name in ("one", "three"):
        shutil.copytree(data / "train" / name, tmp_path / "train" / name)
    assert counts(training_set(base(tmp_path), Options(**SMOTE, smote_strategy="0.75"))) == [24, 18]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smote_strategy": "three=x"}, "'three=x' must be CLASS=COUNT with CLASS one of 0, 1, 2, one, three, two"),
        ({"smote_strategy": "tree=20"}, "'tree=20' must be CLASS=COUNT"),
        ({"smote_strategy": "three=2"}, "'three=2': three has 8 images already"),
        ({"smote_strategy": "minorty"}, "must be one of .*'minority'.*; got 'minorty'"),
        ({"smote_plan": "nowhere/plan.safetensors"}, "make its folder first"),
        ({"smote_image_size": "64by64"}, "smote_image_size must be N or HxW in pixels; got '64by64'"),
        ({"smote_k": 8}, r"has 8 sample\(s\); 9 are needed"),
        ({"smote": None, "smote_plan": "absent.safetensors"}, "does not exist yet: add smote"),
    ],
)
def test_wrong_options(options, message, data):
    with pytest.raises(ValueError, match=message):
        training_set(base(data), Options(**{**SMOTE, **options}))


def test_a_misspelt_class_folder_is_named(data, tmp_path):
    shutil.copytree(data / "train", tmp_path / "train")
    (tmp_path / "train" / "thre").mkdir()
    (tmp_path / "train" / "three" / "three00.png").rename(tmp_path / "train" / "thre" / "three00.png")
    with pytest.raises(ValueError, match=r"classes up to 3 \(one, thre, three, two\), and the model num_classes=3"):
        training_set(base(tmp_path), Options(**SMOTE), num_classes=3)


def test_images_of_unequal_size_ask_for_one(data, tmp_path):
    shutil.copytree(data / "train", tmp_path / "train")
    with Image.open(tmp_path / "train" / "three" / "three01.png") as image:
        image.resize((40, 30)).save(tmp_path / "train" / "three" / "three01.png")
    with pytest.raises(ValueError, match="pass image_size="):
        training_set(base(tmp_path), Options(**SMOTE))
    for size, expected in (("16", (16, 16)), ("16x12", (12, 16)), (16, (16, 16))):  # PIL gives width first
        train_set = training_set(base(tmp_path), Options(**SMOTE, smote_image_size=size))
        assert train_set[len(train_set) - 1][0].size == expected


def test_a_stream_is_refused(data):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TypeError, match="Stream is read as a stream"):
        training_set(Stream(), Options(**SMOTE))


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_strata_are_balanced_in_place_of_classes(suffix, data, tmp_path):
    dataset = base(data)
    names = [dataset.filename(i) for i in range(len(dataset))]
    strata = [f"{Path(name).parent.name}-{'a' if int(Path(name).stem[-2:]) < 6 else 'b'}" for name in names]
    path = tmp_path / f"strata.{suffix}"
    if suffix == "npy":
        np.save(path, np.array(strata))
    else:
        order = np.random.default_rng(0).permutation(len(names))  # rows are found by name, not by place
        text = "filename,stratum\n" + "".join(f"./{names[i]},{strata[i]}\n" for i in order)
        path.write_text(text, encoding="utf-8-sig")  # as Excel writes it
    assert read_strata(str(path), dataset).tolist() == strata
    options = Options(**SMOTE, smote_strata=str(path), smote_strategy="one-a=12,two-a=9", smote_k=3)
    train_set = training_set(dataset, options)
    assert counts(train_set) == [30, 8, 15]
    parents = {strata[i] for i in train_set.plan.base}
    assert parents == {"one-a", "two-a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\na,b\n", "columns filename and stratum.*found file, group"),
        ("filename;stratum\na;b\n", "comma-separated .*found filename;stratum"),
        ("filename,stratum\n", "columns filename and stratum.*found no rows"),
        ("filename,stratum\none/one00.png,a\none/one00.png,b\n", "puts one/one00.png into two strata, 'a' and 'b'"),
        ("filename,stratum\none00.png,a\n", r"no stratum for image 1 \(.*one/one01.png\)"),
    ],
)
def test_a_table_of_strata_that_does_not_fit(text, message, data, tmp_path):
    (tmp_path / "strata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_strata(str(tmp_path / "strata.csv"), base(data))


def test_strata_of_python_objects_are_refused_with_a_way_out(data, tmp_path):
    np.save(tmp_path / "strata.npy", np.array(["a", "b"], dtype=object))
    with pytest.raises(ValueError, match=r"array.astype\(str\)"):
        read_strata(str(tmp_path / "strata.npy"), base(data))


def test_neighbours_are_searched_in_the_given_rows(data, tmp_path):
    rows = np.arange(44.0)[:, None]  # on a line: each image's neighbours are those beside it
    np.save(tmp_path / "rows.npy", rows)
    plan = training_set(base(data), Options(**SMOTE, smote_k=2, smote_features=str(tmp_path / "rows.npy"))).plan
    assert np.abs(plan.base - plan.neighbor).max() <= 2
    assert training_set(base(data), Options(**SMOTE, smote_k=2)).plan.base.tolist() != plan.base.tolist()


def test_a_plan_file_is_saved_then_loaded_and_never_overwritten(data, tmp_path):
    path = tmp_path / "plan.safetensors"
    options = Options(**SMOTE, smote_plan=str(path))
    made = training_set(base(data), options).plan
    stamp = path.stat().st_mtime_ns
    for again in (options, Options(smote_plan=str(path))):
        assert training_set(base(data), again).plan.lam.tolist() == made.lam.tolist()
    with pytest.raises(ValueError, match="made with other options"):
        training_set(base(data), Options(**SMOTE, smote_k=2, smote_plan=str(path)))
    shutil.copytree(data / "train", tmp_path / "train")
    (tmp_path / "train" / "one" / "one00.png").unlink()
    with pytest.raises(ValueError, match="made for another data set"):
        training_set(base(tmp_path), options)
    shutil.copytree(data / "train" / "one", tmp_path / "train" / "one", dirs_exist_ok=True)
    training_set(base(tmp_path), options)  # the same files under another root
    (tmp_path / "train" / "one" / "one00.png").rename(tmp_path / "train" / "one" / "other.png")
    with pytest.raises(ValueError, match="other names or order of image files"):
        training_set(base(tmp_path), options)
    assert path.stat().st_mtime_ns == stamp


def test_the_plan_of_a_resumed_run_yields_to_a_named_one(data, tmp_path):
    plans = {}
    for seed in (0, 1):
        plans[seed] = tmp_path / f"{seed}.safetensors"
        training_set(base(data), Options(**SMOTE, smote_seed=seed, smote_plan=str(plans[seed])))
    named = training_set(base(data), Options(smote_plan=str(plans[0])), resumed_plan=plans[1]).plan
    assert named.options["random_state"] == 0
    resumed = training_set(base(data), Options(**SMOTE, smote_seed=1), resumed_plan=plans[1]).plan
    assert resumed.lam.tolist() == SMOTEPlan.load(plans[1]).lam.tolist()
