"""What the report says about the training."""

import dataclasses

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE

from clesmote_losses import CappedSMOTELoss, SMOTEDataset
from clesmote_losses.inspection.rule import loss_options
from clesmote_losses.inspection.training_facts import class_rows, option_rows, trained
from tests.support.inspections import NAMES, Digits, as_input, inspected


def test_counts_before_and_after_balancing_and_medians_of_each_class():
    inspection = inspected()
    (rare, common), more = class_rows(inspection, 10)
    assert [rare["name"], common["name"]] == NAMES[::-1]
    assert [rare[part] for part in ("real", "copies", "synthetic", "total")] == [24, 0, 36, 60]
    assert [common[part] for part in ("real", "copies", "synthetic", "total")] == [60, 0, 0, 60]
    assert rare["share"] == "50 %"
    assert float(rare["loss"]) == pytest.approx(inspection.table["loss"].median(), abs=0.005)
    assert float(common["real_loss"]) == pytest.approx(inspection.real["loss"][:60].median(), abs=0.005)
    assert (common["share"], common["cap"]) == ("", "")
    assert more == 0
    assert class_rows(inspection, 1)[1] == 1


def test_network_set_and_transform_are_named():
    said = " ".join(trained(inspected()))
    assert "test_resnet, 0.37 million parameters" in said
    assert "Digits of 84 real images, and 36 samples added by SMOTE" in said
    assert NAMES[1] in said
    assert "as_input" in said


def test_options_have_a_meaning_and_those_of_other_sets_are_told_too():
    rows = {name: (value, meaning) for name, value, meaning in option_rows(inspected())}
    assert rows["sampler"] == ("SMOTE", "blends of an image and one of its nearest images of the class")
    assert rows["k_neighbors"][0] == "5"
    assert rows["distance"][0] == "cosine"
    assert "groups" not in rows
    other = SMOTEDataset(
        Digits(), sampler=SMOTE(random_state=0), transform=as_input, groups=np.arange(84) // 2, real_share=0.5, redraw="epoch"
    )  # fmt: skip
    inspection = dataclasses.replace(inspected(), train_set=other, distance=None)
    rows = {name: (value, meaning) for name, value, meaning in option_rows(inspection)}
    assert rows["real_share"] == ("0.5", "at least this share of each over-sampled class stays real")
    assert rows["redraw"][1] == "new synthetic images in each epoch"
    assert rows["distance"][1] == "a constant cap of beta nats"
    assert "patient" in rows["groups"][1]
    (rare, _), _ = class_rows(inspection, 10)
    assert rare["copies"] > 0
    assert rare["total"] == 24 + rare["copies"] + rare["synthetic"] == 60


def test_options_of_the_loss_have_the_meaning_of_their_value():
    def rows_of(criterion):
        inspection = dataclasses.replace(inspected(), loss_options=loss_options(criterion))
        return {name: (value, meaning) for name, value, meaning in option_rows(inspection)}

    rows = rows_of(CappedSMOTELoss(distance=None))
    assert rows["gradient"] == ("stop", "a blend over its cap has no gradient")
    assert rows["capped"] == ("synthetic", "the cap applies to synthetic images")
    assert [rows[name][0] for name in ("warmup_epochs", "label_smoothing", "weight", "logit_adjustment")] == [
        "0", "0.0", "none", "none"
    ]  # fmt: skip
    rows = rows_of(
        CappedSMOTELoss(
            distance=None, gradient="scale", capped="oversampled", weight=torch.ones(2), logit_adjustment=torch.ones(2), warmup_epochs=3
        )
    )  # fmt: skip
    assert rows["gradient"] == ("scale", "the gradient of a blend over its cap is multiplied by cap / loss")
    assert "real ones too" in rows["capped"][1]
    assert [rows[name][0] for name in ("warmup_epochs", "weight", "logit_adjustment")] == ["3", "given", "given"]
    assert rows_of(None)["other options of the loss"][0] == "not known"
