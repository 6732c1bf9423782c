"""Import paths of earlier versions: each name is the same object as in its new place."""

from importlib import import_module

import pytest

HOSTS = "clesmote_losses.hosts"


@pytest.mark.parametrize(
    ("earlier", "name", "place"),
    [
        ("epochs", "begin_epoch", "clesmote_losses.epochs"),
        ("epochs", "end_epoch", "clesmote_losses.epochs"),
        ("ranks", "from_rank_0", "clesmote_losses.distributed"),
        ("timm_data", "description", f"{HOSTS}.recipe"),
        ("timm_data", "training_set", f"{HOSTS}.recipe"),
        ("timm_task", "CLESMOTETask", f"{HOSTS}.timm.task"),
        ("timm_transforms", "Normalized", f"{HOSTS}.timm.transforms"),
        ("timm_transforms", "evaluation_transform", f"{HOSTS}.timm.transforms"),
        ("timm_transforms", "normalized_transform", f"{HOSTS}.timm.transforms"),
    ],
)
def test_an_earlier_path_gives_the_same_object(earlier, name, place):
    if earlier == "timm_task":
        task = pytest.importorskip("timm.task", reason="this timm has no tasks")
        if not hasattr(task, "ClassificationTask"):
            pytest.skip("this timm has no classification task")
    module = import_module(f"{HOSTS}.{earlier}")
    assert name in module.__all__
    assert getattr(module, name) is getattr(import_module(place), name)


def test_an_earlier_name_gives_the_same_object():
    module = import_module(f"{HOSTS}.timm_data")
    assert module.read_strata is import_module(f"{HOSTS}.strata_file").read_groups
