"""The training set that the options describe, from timm's data sets on disk."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE
from PIL import Image
from timm.data import create_dataset

from clesmote_losses import SMOTEPlan, encode_target
from clesmote_losses.caps import CAPS
from clesmote_losses.epochs import tracker_of
from clesmote_losses.errors import ArgumentError
from clesmote_losses.hosts.declaration import option
from clesmote_losses.hosts.options import Options
from clesmote_losses.hosts.recipe import build_loss, description, training_set
from clesmote_losses.smote.samplers import SAMPLERS, Sampler

ON = {"smote": "smote"}


def base(data, name=""):
    return create_dataset(name, root=data, split="train", is_training=True)


def counts(train_set):
    return np.bincount(train_set.labels).tolist()


@pytest.mark.parametrize("name", ["", "torch/image_folder"])
def test_the_default_raises_every_class_to_the_largest(name, data):
    train_set = training_set(base(data, name), Options(**ON))
    assert counts(train_set) == [24, 24, 24]
    assert train_set.plan.options["random_state"] == 0
    assert description(train_set) == "44 real + 28 synthetic samples: one 24, three 8 + 16, two 12 + 12"
    nothing = training_set(base(data, name), Options(**ON, smote_strategy="one=24"))
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
    assert counts(training_set(base(data), Options(**ON, smote_strategy=strategy))) == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"smote": "over"}, "44 real + 28 synthetic samples: one 24, three 8 + 16, two 12 + 12"),
        (
            {**ON, "smote_real_share": 0.75},
            "44 real + 16 copies that stay real + 12 synthetic samples: one 24, three 8 + 10 copies + 6, two 12 + 6 copies + 6",
        ),
        (
            {**ON, "smote_blend": "all", "smote_blend_share": 0.25, "smote_partners": "any"},
            "44 real + 28 copies that stay real + 24 synthetic samples: one 24 + 8, three 8 + 16 copies + 8, two 12 + 12 copies + 8",
        ),
    ],
)
def test_the_options_on_draws_reach_the_set_and_its_description_counts_copies(options, text, data):
    assert description(training_set(base(data), Options.from_given(options))) == text


def test_a_ratio_is_for_two_classes(data, tmp_path):
    for name in ("one", "three"):
        shutil.copytree(data / "train" / name, tmp_path / "train" / name)
    assert counts(training_set(base(tmp_path), Options(**ON, smote_strategy="0.75"))) == [24, 18]


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
        training_set(base(data), Options(**{**ON, **options}))


def test_a_misspelt_class_folder_is_named(data, tmp_path):
    shutil.copytree(data / "train", tmp_path / "train")
    (tmp_path / "train" / "thre").mkdir()
    (tmp_path / "train" / "three" / "three00.png").rename(tmp_path / "train" / "thre" / "three00.png")
    with pytest.raises(ValueError, match=r"classes up to 3 \(one, thre, three, two\), and the model num_classes=3"):
        training_set(base(tmp_path), Options(**ON), num_classes=3)


def test_images_of_unequal_size_ask_for_one(data, tmp_path):
    shutil.copytree(data / "train", tmp_path / "train")
    with Image.open(tmp_path / "train" / "three" / "three01.png") as image:
        image.resize((40, 30)).save(tmp_path / "train" / "three" / "three01.png")
    with pytest.raises(ValueError, match="pass image_size="):
        training_set(base(tmp_path), Options(**ON))
    for size, expected in (("16", (16, 16)), ("16x12", (12, 16)), (16, (16, 16))):  # PIL gives width first
        train_set = training_set(base(tmp_path), Options(**ON, smote_image_size=size))
        assert train_set[len(train_set) - 1][0].size == expected


def test_a_stream_is_refused(data):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TypeError, match="Stream is read as a stream"):
        training_set(Stream(), Options(**ON))


def test_groups_of_a_table_are_never_blended(data, tmp_path):
    names = [Path(base(data).filename(i)) for i in range(44)]
    groups = np.array([f"{name.parent.name}-{int(name.stem[-2:]) % 3}" for name in names])
    rows = [f"{name.parent.name}/{name.name},{group}" for name, group in zip(names, groups, strict=True)]
    (tmp_path / "groups.csv").write_text("\n".join(["filename,group", *rows]))
    wanted = {"smote_groups": str(tmp_path / "groups.csv"), "smote_k": 3}
    plan = training_set(base(data), Options(**ON, **wanted)).plan
    assert len(plan) == 28
    assert (groups[plan.base] != groups[plan.neighbor]).all()
    plain = training_set(base(data), Options(**ON, smote_k=3)).plan
    assert (groups[plain.base] == groups[plain.neighbor]).any()


def test_strata_are_balanced_instead_of_classes(data, tmp_path):
    dataset = base(data)
    names = [Path(dataset.filename(i)) for i in range(len(dataset))]
    strata = [f"{name.parent.name}-{'a' if int(name.stem[-2:]) < 6 else 'b'}" for name in names]
    np.save(tmp_path / "strata.npy", np.array(strata))
    wanted = {"smote_strata": str(tmp_path / "strata.npy"), "smote_strategy": "one-a=12,two-a=9", "smote_k": 3}
    train_set = training_set(dataset, Options(**ON, **wanted))
    assert counts(train_set) == [30, 8, 15]
    assert {strata[i] for i in train_set.plan.base} == {"one-a", "two-a"}


def test_neighbours_are_searched_in_the_given_rows(data, tmp_path):
    rows = np.arange(44.0)[:, None]  # on a line: each image's neighbours are those beside it
    np.save(tmp_path / "rows.npy", rows)
    plan = training_set(base(data), Options(**ON, smote_k=2, smote_features=str(tmp_path / "rows.npy"))).plan
    assert np.abs(plan.base - plan.neighbor).max() <= 2
    assert training_set(base(data), Options(**ON, smote_k=2)).plan.base.tolist() != plan.base.tolist()


def test_a_plan_file_is_saved_then_loaded_and_never_overwritten(data, tmp_path):
    path = tmp_path / "plan.safetensors"
    options = Options(**ON, smote_plan=str(path))
    made = training_set(base(data), options).plan
    stamp = path.stat().st_mtime_ns
    for again in (options, Options(smote_plan=str(path))):
        assert training_set(base(data), again).plan.lam.tolist() == made.lam.tolist()
    with pytest.raises(ValueError, match="made with other options"):
        training_set(base(data), Options(**ON, smote_k=2, smote_plan=str(path)))
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
        training_set(base(data), Options(**ON, smote_seed=seed, smote_plan=str(plans[seed])))
    named = training_set(base(data), Options(smote_plan=str(plans[0])), resumed_plan=plans[1]).plan
    assert named.options["random_state"] == 0
    resumed = training_set(base(data), Options(**ON, smote_seed=1), resumed_plan=plans[1]).plan
    assert resumed.lam.tolist() == SMOTEPlan.load(plans[1]).lam.tolist()


def test_the_loss_reads_the_table_of_caps_when_it_is_built(monkeypatch):
    model = timm.create_model("test_resnet", num_classes=3)
    with pytest.raises(ArgumentError, match=r"cap must be one of .*'cosine', 'euclidean'.*; got 'manhattan'"):
        build_loss(model, 3, Options(**ON, cap="manhattan"))
    monkeypatch.setitem(CAPS, "manhattan", lambda embeddings, labels, centroids, beta: torch.full((len(labels),), beta))
    criterion = build_loss(model, 3, Options(**ON, cap="manhattan", cap_beta=0.25, centroids="batch"))
    target = encode_target(torch.tensor([0, 1]), torch.tensor([True, False]))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.functional.cross_entropy(model.eval()(images), torch.tensor([0, 1]), reduction="none")
    assert plain[0] > 0.25
    assert criterion(model(images), target).item() == pytest.approx((0.25 + plain[1].item()) / 2)


@pytest.mark.parametrize(
    ("cap", "beta", "has_tracker"), [("none", float("inf"), False), ("constant", 0.5, False), ("euclidean", 0.5, True)]
)
def test_a_loss_has_a_tracker_where_its_cap_needs_centroids(cap, beta, has_tracker):
    model = timm.create_model("test_resnet", num_classes=3)
    criterion = build_loss(model, 3, Options(**ON, cap=cap, cap_beta=0.5))
    assert criterion.beta == beta
    assert (tracker_of(criterion) is not None) == has_tracker
    assert tracker_of(None) is None


def test_an_option_that_names_an_argument_reaches_the_library_by_its_entry_alone(data):
    @dataclasses.dataclass(frozen=True)
    class More(Options):
        cap_label_smoothing: float = option(0.0, "cap", "smoothing", argument="loss.label_smoothing", at_least=0)
        smote_flag: str = option("target", "smote", "where the flag is", argument="dataset.flag")

    options = More.from_given({"smote": "smote", "cap_label_smoothing": 0.25, "smote_flag": "item", "cap": "constant"})
    assert build_loss(torch.nn.Linear(2, 3), 3, options).label_smoothing == 0.25
    train_set = training_set(base(data), options)
    assert train_set.flag == "item"
    assert len(train_set[0]) == 3


def test_a_sampler_that_is_registered_later_makes_the_plan(data, monkeypatch):
    class MySMOTE(SMOTE):
        pass

    monkeypatch.setitem(SAMPLERS, "mine", Sampler(lambda: MySMOTE))
    plan = training_set(base(data), Options(smote="mine", smote_k=3)).plan
    assert plan.options["sampler"] == "MySMOTE"
    assert plan.options["k_neighbors"] == 3
    assert len(plan) == 28


@pytest.mark.parametrize("option", ["smote_features", "smote_strata"])
def test_a_file_that_cannot_be_read_is_named(option, data, tmp_path):
    (tmp_path / "empty.npy").touch()
    for path in (tmp_path / "missing.npy", tmp_path / "empty.npy"):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read"):
            training_set(base(data), Options(smote="smote", smote_k=3, **{option: str(path)}))
