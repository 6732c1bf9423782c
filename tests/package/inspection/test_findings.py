"""What the numbers mean, in words."""

import dataclasses
import types

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler

from clesmote_losses import blend_detectability
from clesmote_losses.inspection.findings import (
    blame_findings,
    cap_findings,
    detectability_findings,
    first_looks,
    suspect_reasons,
)
from clesmote_losses.inspection.suspicion import DoubtAccuracy
from tests.support.inspections import as_input, inspected


def with_capped(count, **more):
    """Return the inspection with that many of 1000 synthetic images over their cap of 1."""
    inspection = inspected()
    table = inspection.table.sample(1000, replace=True, random_state=0).reset_index(drop=True)
    loss = np.where(np.arange(1000) < count, 2.0, np.linspace(0, 0.9, 1000))
    return dataclasses.replace(inspection, table=table.assign(loss=loss, cap=1.0, capped=loss > 1), beta=1.0, **more)


@pytest.mark.parametrize(
    ("count", "meaning"),
    [
        (3, "The cap binds on 0.3 % now. What a cap did in training is not known: pass the criterion"),
        (870, "87 % are capped: the rare class is hardly trained on by its blends. Raise beta"),
        (250, "The loss leaves out about 1 in 4 blends, and trains on the others."),
    ],
)
def test_the_share_capped_has_a_meaning(count, meaning):
    found = cap_findings(with_capped(count))
    assert found[0].startswith(f"{count} of 1000 synthetic images (")
    assert found[1].startswith(meaning)


@pytest.mark.parametrize(
    ("gradient", "some", "most"),
    [
        ("stop", "The loss leaves out about 1 in 4 blends,", "hardly trained on by its blends"),
        ("scale", "The loss lowers the gradient of about 1 in 4 blends,", "most blends train with a lowered gradient"),
        ("flow", "The loss pushes about 1 in 4 blends away", "most blends are pushed away"),
    ],
)
def test_what_the_cap_does_depends_on_the_gradient(gradient, some, most):
    options = {"gradient": gradient}
    assert cap_findings(with_capped(250, loss_options=options))[1].startswith(some)
    assert most in cap_findings(with_capped(870, loss_options=options))[1]


def test_a_cap_on_real_images_says_how_many_are_over_it():
    inspection = with_capped(250, loss_options={"capped": "oversampled"})
    real = inspection.real.assign(cap=1.0, loss=0.5)
    real.loc[[0, 60, 61], "loss"] = 1.5  # the first is of the other class
    said = cap_findings(dataclasses.replace(inspection, real=real))
    assert "The cap applies to real images of the over-sampled classes too: 2 of 24 are over it now." in said


def test_a_weighted_loss_is_not_compared_with_guessing():
    inspection = with_suspicion(0.97, loss=4.2)
    weighted = dataclasses.replace(inspection, loss_options={"weight": True})
    reasons = [suspect_reasons(one, one.suspects())[0] for one in (inspection, weighted)]
    assert ["of guessing" in reason for reason in reasons] == [True, False]


@pytest.mark.parametrize(
    ("options", "shares", "meaning"),
    [
        ({}, [], "What a cap did in training is not known: pass the criterion"),
        ({"warmup_epochs": 2}, [0.6, 0.6], "What it did in training is not known: the loss kept no epoch with caps."),
        ({"warmup_epochs": 0}, [0.6, 0.077], "0.3 % now, after training; it did more in training."),
        (
            {"warmup_epochs": 0},
            [0.0, 0.001],
            "now, and did so in training: this is plain SMOTE. A lower beta caps more.",
        ),
    ],
)
def test_a_cap_that_binds_on_nothing_now_is_plain_smote_only_if_it_was_so_in_training(options, shares, meaning):
    epochs = [{**epoch((0, None), (100, share)), "epoch": i} for i, share in enumerate(shares)]
    said = cap_findings(with_capped(3, loss_options=options, history=types.SimpleNamespace(epochs=epochs)))
    assert meaning in said[1]
    assert ("plain SMOTE" in " ".join(said)) == ("plain SMOTE" in meaning)


def test_no_beta_is_named_since_it_would_be_one_for_losses_after_training():
    for count in (3, 250, 870):
        assert "With beta" not in " ".join(cap_findings(with_capped(count)))


def test_copies_are_not_called_smote():
    copies = inspected(RandomOverSampler)
    assert blame_findings(copies) == []
    worst = copies.suspects().sort_values("capped_blends", na_position="first")
    assert suspect_reasons(copies, worst)[-1].endswith("of its copies are capped.")
    uncapped = dataclasses.replace(copies, table=copies.table.assign(cap=np.inf, capped=False))
    assert cap_findings(uncapped)[1] == "No synthetic image has a cap: this is plain over-sampling with copies."


def test_without_caps_or_samples_it_is_said():
    inspection = inspected()
    uncapped = dataclasses.replace(inspection, table=inspection.table.assign(cap=np.inf, capped=False))
    assert cap_findings(uncapped)[1] == "No synthetic image has a cap: this is plain SMOTE."
    empty = dataclasses.replace(inspection, table=inspection.table.head(0))
    assert cap_findings(empty) == ["There are no synthetic images: the sampler had nothing to raise."]
    assert blame_findings(empty) == []


def test_classes_that_differ_are_named():
    inspection = with_capped(500)
    classes = np.where(np.arange(1000) < 400, 1, 0)
    table = inspection.table.assign(**{"class": classes})
    found = cap_findings(dataclasses.replace(inspection, table=table))
    assert found[2].startswith("Most are capped in the class <script>")
    assert found[2].endswith("(100 %), fewest in common (17 %).")


def epoch(*classes):
    return {
        "epoch": 0,
        "classes": {i: {"synthetic": n, "share_capped": share} for i, (n, share) in enumerate(classes)},
    }


def test_the_history_says_what_the_cap_did_in_training():
    history = types.SimpleNamespace(
        epochs=[epoch((0, None), (100, 0.9), (300, 0.1)), epoch((0, None), (100, 0.02), (300, 0.02))]
    )
    said = cap_findings(with_capped(3, history=history))[-1]
    assert said.startswith("In training, 30 % were capped in the first epoch and 2.0 % in the last of 2.")
    assert said.endswith("What was capped in training is fitted now.")
    for i, one in enumerate(history.epochs):
        one["epoch"] = i
    after = cap_findings(with_capped(3, history=history, loss_options={"warmup_epochs": 1}))[-1]
    assert after.startswith("In training, 2.0 % were capped in the first epoch with caps.")
    nothing = types.SimpleNamespace(epochs=[epoch((0, None))])
    assert len(cap_findings(with_capped(3, history=nothing))) == len(cap_findings(with_capped(3)))


def test_of_capped_blends_it_is_counted_in_how_many_a_parent_is_over_its_cap():
    inspection = with_capped(10)
    losses = np.where(np.arange(1000) < 4, 5.0, 0.0)
    table = inspection.table.assign(base_loss=0.0, neighbor_loss=losses, base_cap=1.0, neighbor_cap=1.0)
    parents, blends = blame_findings(dataclasses.replace(inspection, table=table))
    assert parents == "In 4 of the 10 capped blends a parent is over its cap too: look at the parent."
    assert blends == "In 6 both parents are within their caps: the blend is bad."
    all_bad = table.assign(neighbor_loss=5.0)
    assert len(blame_findings(dataclasses.replace(inspection, table=all_bad))) == 1


def with_suspicion(*scores, **columns):
    """Return the inspection with these scores of the first rare images, and a low one of the others."""
    real = inspected().real.copy()
    rare = real.index[real["oversampled"]]
    real.loc[rare, ["suspicion", "loss", "capped_blends"]] = 0.1, 0.2, 0.0
    real["likely_class"] = -1
    real.loc[rare, "likely_class"] = 1
    real.loc[rare[: len(scores)], "suspicion"] = scores
    real.loc[rare[: len(scores)], "likely_class"] = np.where(np.array(scores) > 0.5, 0, 1)
    for name, value in columns.items():
        real.loc[rare[0], name] = value
    return dataclasses.replace(inspected(), real=real)


def test_the_first_looks_name_the_file_the_label_and_why():
    inspection = with_suspicion(0.97, 0.6, loss=4.2, capped_blends=0.8)
    said = first_looks(inspection)
    assert said[0] == (
        "2 real images have a doubtful label, of 24 in the over-sampled classes. Labels of common were not checked: only those of the "
        "over-sampled classes are. Look at these first:"
    )
    assert "060.png, labelled <script>" in said[1]
    assert said[1].endswith(
        "A linear classifier on the embeddings, fitted without this image, gives its label 3.0 %, and finds common more probable; its "
        "loss of 4.20 nats is above the 0.69 of guessing; 80 % of its blends are capped."
    )
    assert len(said) == 3


def test_without_a_doubtful_label_it_is_said_and_with_most_doubtful_too():
    assert first_looks(with_suspicion(0.31)) == [
        "No real image of an over-sampled class has a doubtful label: a linear classifier on the embeddings, fitted without the image, "
        "finds its label the most probable. Labels of common were not checked: only those of the over-sampled classes are."
    ]
    assert "hardly tell these classes from others" in first_looks(with_suspicion(*[0.6] * 20))[0]


@pytest.mark.parametrize("scores", [[0.97], [0.31], [0.6] * 20])
def test_a_classifier_that_guesses_is_warned_of_first(scores):
    warning = "The list of doubtful labels means little: the linear classifier behind it has a balanced accuracy of 55 %, and guessing has 50 %. "
    for balanced, is_warned in ((0.55, True), (0.61, False)):
        accuracy = DoubtAccuracy(balanced, 0.5, 0.05)
        said = first_looks(dataclasses.replace(with_suspicion(*scores), doubt_accuracy=accuracy))
        assert said[0].startswith(warning) == is_warned


def test_labels_that_were_not_checked_are_no_good_ones(monkeypatch):
    unknown = with_suspicion(*[np.nan] * 24)
    assert first_looks(unknown) == ["No label was checked: that needs two classes of two images (or groups) at least."]
    monkeypatch.setattr("clesmote_losses.inspection.suspicion._WORK", 1000)
    assert first_looks(unknown)[0].startswith("No label was checked: with 2 classes and embeddings of ")


def test_an_image_without_a_fault_and_one_without_a_number_have_words_too():
    inspection = with_suspicion(np.nan, loss=np.nan)
    reasons = suspect_reasons(inspection, inspection.suspects())
    assert reasons[0] == "A linear classifier on the embeddings, fitted without this image, gives its label 90 %."
    assert reasons[-1] == "Its loss is not a number."


def test_detectability_is_that_of_the_function_and_names_the_class():
    import timm
    import torch

    inspection = inspected()
    (said,) = detectability_findings(inspection)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", num_classes=2)
    expected = str(blend_detectability(model, inspection.train_set, transform=as_input))
    assert said == expected.replace("Class 1 ", "Class <script>alert('rare')</script> ")


def test_only_the_smallest_classes_are_measured(monkeypatch):
    monkeypatch.setattr("clesmote_losses.inspection.findings._PROBED", 23)
    assert detectability_findings(inspected()) == [
        "1 larger classes are not measured here; blend_detectability measures all, and takes a while."
    ]


def test_a_class_too_small_to_measure_is_no_error(monkeypatch):
    monkeypatch.setattr("clesmote_losses.detectability._FEWEST", 25)
    assert detectability_findings(inspected())[0].startswith("Not measured: class 1 has 24 real images")
