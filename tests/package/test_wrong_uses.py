"""Wrong uses and the message each gives: what was wanted, what came, what to do."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, SVMSMOTE, KMeansSMOTE, RandomOverSampler
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms import v2

import clesmote_losses as c
from clesmote_losses.rebalanced_head import rebalanced_head
from clesmote_losses.smote.blending import blend
from tests.support.user_datasets import GivenItems

torch.manual_seed(0)
IMAGES, LABELS = torch.rand(30, 3, 32, 32), torch.tensor([0] * 20 + [1] * 10)
BASE = TensorDataset(IMAGES, LABELS)
LOGITS, FLAGS, CAP = torch.randn(30, 2), LABELS > 0, torch.ones(30)


def network() -> nn.Module:
    return timm.create_model("test_resnet", num_classes=2)


def smote(**options: Any) -> c.SMOTEDataset:
    return c.SMOTEDataset(BASE, **options)


def loss(**options: Any) -> c.CappedSMOTELoss:
    return c.CappedSMOTELoss(**{"distance": None, **options})


def of_another_model() -> None:
    criterion = loss(capped="oversampled")
    criterion.set_oversampled_classes([1, 4])
    criterion(LOGITS, LABELS)


class Transformed(GivenItems):
    """Calls its transform last."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, transform: Any) -> None:
        super().__init__(list(zip(images, labels, strict=True)), targets=labels, transform=transform)

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return self.transform(image), label


class ThenDoubled(TensorDataset):
    """Works on after its transform."""

    transform, targets = nn.Identity(), LABELS

    def __getitem__(self, index: int) -> Any:
        return 2 * self.transform(self.tensors[0][index]), self.tensors[1][index]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([])


def items(image: Callable[[int], Any], **attributes: Any) -> GivenItems:
    return GivenItems([(image(i), int(i >= 20)) for i in range(30)], targets=[0] * 20 + [1] * 10, **attributes)


def noisy() -> GivenItems:
    return GivenItems([lambda i=i: (torch.rand(3, 8, 8), int(i >= 20)) for i in range(30)], targets=LABELS)


def stale_loss() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 2)
    tracker.refresh(BASE)
    model(IMAGES[:7])
    return c.CappedSMOTELoss(tracker=tracker)(LOGITS, LABELS)


def changed_width() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 2)
    tracker.refresh(BASE)
    return c.CappedSMOTELoss(tracker=tracker)(LOGITS, LABELS, torch.randn(30, 5))


def fewer_classes() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 1)
    tracker.refresh(Subset(BASE, range(20)))
    return c.CappedSMOTELoss(tracker=tracker)(model(IMAGES), LABELS)


def more_classes() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 5, classifier="fc")
    tracker.refresh(BASE)
    return c.CappedSMOTELoss(tracker=tracker)(model(IMAGES), LABELS)


def online_without_refresh() -> Any:
    model = network()
    return c.CappedSMOTELoss(tracker=c.ClassCentroidTracker(model, 2, mode="online"))(model(IMAGES), LABELS)


def uint8_pretraining() -> Any:
    base = TensorDataset((255 * IMAGES).to(torch.uint8), LABELS)  # what timm's prefetching loader normalises itself
    c.TripletPretrainer(network()).fit(c.SMOTEDataset(base), epochs=1, progress=False)


def replaced_classifier() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 2)
    model.reset_classifier(2)
    tracker.refresh(BASE)


def late_compile() -> Any:
    model = network()
    compiled = torch.compile(model, backend="eager")
    compiled(IMAGES)
    tracker = c.ClassCentroidTracker(compiled, 2)
    compiled(IMAGES)
    return tracker.embeddings


def distilled() -> Any:
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=2, img_size=32)
    model.set_distilled_training(True)
    return loss()(model.train()(IMAGES), LABELS)


def plan_of_other_options() -> Any:
    return smote(plan=smote(sampler=SMOTE(random_state=1)).plan, sampler=SMOTE(random_state=2))


def frozen_backbone() -> Any:
    model = network().requires_grad_(False)
    model.fc.requires_grad_(True)
    c.TripletPretrainer(model).fit(smote(), epochs=1, progress=False)


def earlier_logits() -> Any:
    model = network()
    tracker = c.ClassCentroidTracker(model, 2)
    tracker.refresh(BASE)
    logits = model(IMAGES)
    model(IMAGES + 1)
    return c.CappedSMOTELoss(tracker=tracker)(logits, LABELS)


def no_warm_up_epoch() -> Any:
    return loss(warmup_epochs=2)(LOGITS, LABELS)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # --- data sets
    "iterable data set": (lambda: c.SMOTEDataset(Endless()), TypeError, "map-style data set of .image, label."),
    "a list of images": (
        lambda: c.SMOTEDataset(np.zeros((4, 3))),
        ValueError,
        "labels of ndarray are not found.*labels=",
    ),
    "no data": (lambda: c.SMOTEDataset(GivenItems([], targets=[])), ValueError, "base is empty"),
    "SMOTE of SMOTE": (lambda: c.SMOTEDataset(smote()), TypeError, "Pass the real data set"),
    "labels unknown": (lambda: c.SMOTEDataset(FakeData(30)), ValueError, "labels of FakeData are not found.*labels="),
    "too few labels": (lambda: smote(labels=[0, 1]), ValueError, r"labels must have shape \(30,\).*got \(2,\)"),
    "float labels": (lambda: smote(labels=LABELS.float()), TypeError, "class indices .integers.; got float32"),
    "one-hot labels": (lambda: smote(labels=torch.eye(2, dtype=torch.long)[LABELS]), ValueError, r"shape \(30,\)"),
    "names as labels": (lambda: smote(labels=["a"] * 30), TypeError, "map names to indices"),
    "negative label": (lambda: smote(labels=[*[0] * 29, -1]), ValueError, "sample 29 has -1"),
    "labels in another order": (
        lambda: c.SMOTEDataset(GivenItems([(IMAGES[i], 0) for i in range(30)], targets=LABELS)),
        ValueError,
        "real sample 20 has label 0, but.*says 1",
    ),
    "one-hot items": (
        lambda: c.SMOTEDataset(GivenItems([(IMAGES[i], torch.eye(2)[LABELS[i]]) for i in range(30)], targets=LABELS)),
        ValueError,
        "labels of another kind, pass labels=",
    ),
    "labels in another order than the data set": (
        lambda: smote(labels=[1] * 10 + [0] * 20),
        ValueError,
        "labels= contradict.*samples 0 and 10 have label 0 there, and labels= gives 1 and 0",
    ),
    "labels with a gap": (lambda: smote(labels=[*[0.0] * 29, np.nan]), TypeError, "Sample 29 has no label .*Subset"),
    "a mask as the indices of a Subset": (lambda: c.SMOTEDataset(Subset(BASE, FLAGS)), ValueError, "np.flatnonzero"),
    "strata with a gap": (lambda: smote(strata=[*["a"] * 29, None]), ValueError, "sample 29 has None.*Fill the gaps"),
    "one class": (lambda: smote(labels=[0] * 30), ValueError, "more than 1 class"),
    "strata of two classes": (lambda: smote(strata=["a"] * 30), ValueError, r"stratum.*'a'.*classes \[0, 1\]"),
    "too few strata": (lambda: smote(strata=["a"] * 3), ValueError, r"strata must have shape \(30,\)"),
    "a class of two images": (
        lambda: c.SMOTEDataset(TensorDataset(IMAGES, (torch.arange(30) >= 28).long())),
        ValueError,
        "class or stratum 1 has 2 sample.*shrink_k.*duplicate",
    ),
    "a class of one image, shrunk": (
        lambda: c.SMOTEDataset(TensorDataset(IMAGES, (torch.arange(30) >= 29).long()), small_class="shrink_k"),
        ValueError,
        'Use small_class="duplicate"',
    ),
    "a class of one image": (
        lambda: c.SMOTEDataset(TensorDataset(IMAGES, (torch.arange(30) >= 29).long())),
        ValueError,
        r'stratum 1 has 1 sample.*Use small_class="duplicate" \(copies its images\)',
    ),
    "a class of one group": (
        lambda: c.SMOTEDataset(BASE, groups=np.minimum(np.arange(30), 20)),
        ValueError,
        r'stratum 1 has 10 sample.*Use small_class="duplicate" \(copies its images\)',
    ),
    "unknown small_class": (lambda: smote(small_class="drop"), ValueError, "small_class must be one of.*'drop'"),
    "unknown redraw": (lambda: smote(redraw="batch"), ValueError, "redraw must be one of.*'batch'"),
    "unknown small class with a plan": (
        lambda: smote(plan=smote().plan, small_class="foo"),
        ValueError,
        "small_class must be one of.*'foo'",
    ),
    "margin beside another loss": (
        lambda: c.TripletPretrainer(network(), margin=3.0, sampling="batch", loss=lambda e, y: e.sum()),
        ValueError,
        "margin= belongs to the triplet loss",
    ),
    "unknown flag": (lambda: smote(flag="sign"), ValueError, "flag must be one of.*'sign'"),
    "redraw without a seed": (lambda: smote(sampler=SMOTE(), redraw="epoch"), ValueError, "int random_state"),
    "redraw of a loaded plan": (lambda: smote(plan=smote().plan, redraw="epoch"), ValueError, "needs sampler too"),
    "three-item samples": (
        lambda: c.SMOTEDataset(GivenItems([(i, 0, 0) for i in range(30)], targets=LABELS)),
        TypeError,
        "must give .image, label.; item 20 is a tuple of 3.*class Pairs",
    ),
    "dict samples": (
        lambda: c.SMOTEDataset(GivenItems([{"image": i} for i in range(30)], targets=LABELS)),
        TypeError,
        "item 20 is a dict of 'image'.*class Pairs",
    ),
    "augmentation inside": (lambda: c.SMOTEDataset(noisy()), ValueError, "augments inside __getitem__.*transform="),
    "steps after the transform": (
        lambda: c.SMOTEDataset(ThenDoubled(IMAGES, LABELS)),
        ValueError,
        "ThenDoubled goes on working on the image after it.*image=, a function.*transform=, a function",
    ),
    "no function of the index": (lambda: smote(image=IMAGES), TypeError, "image must be a function.*got Tensor"),
    "unequal sizes": (
        lambda: c.SMOTEDataset(items(lambda i: torch.rand(3, 8, 8 + i))),
        ValueError,
        r"images 20 and 21: they differ.*image_size=\(height, width\)",
    ),
    "unequal kinds": (
        lambda: c.SMOTEDataset(items(lambda i: torch.rand(3, 8, 8).to(torch.float64 if i > 25 else torch.float32))),
        ValueError,
        "images 20 and 26: they differ.*float32.*float64",
    ),
    "images that are names": (
        lambda: c.SMOTEDataset(items(lambda i: "a.png")),
        TypeError,
        "PIL images, arrays or tensors",
    ),
    "palette images": (
        lambda: c.SMOTEDataset(items(lambda i: Image.new("P", (8, 8)))),
        TypeError,
        r"mode 'P'.*convert\(.RGB.\)",
    ),
    "masks": (lambda: c.SMOTEDataset(items(lambda i: torch.ones(8, 8) > 0)), TypeError, "integer or float values"),
    "NaN in images": (
        lambda: c.SMOTEDataset(items(lambda i: torch.full((3, 8, 8), torch.nan))),
        ValueError,
        "NaN or infinity",
    ),
    "image_size of three": (lambda: smote(image_size=(3, 8, 8)), ValueError, "image_size must be .height, width."),
    "image_size of zero": (lambda: smote(image_size=0), ValueError, "image_size must be"),
    "features of too few rows": (
        lambda: smote(features=torch.rand(3, 4)),
        ValueError,
        r"features must have shape \(30, D\)",
    ),
    "features of the whole data set": (
        lambda: smote(features=torch.rand(40, 4)),
        ValueError,
        r"got \(40, 4\)\. If they are of the whole data set of a Subset, pass features\[subset\.indices\]",
    ),
    "labels of the whole data set": (
        lambda: smote(labels=[0, 1] * 20),
        ValueError,
        r"got \(40,\)\. If they are of the whole data set of a Subset, pass labels\[subset\.indices\]",
    ),
    "different transforms": (
        lambda: c.SMOTEDataset(ConcatDataset([items(lambda i: IMAGES[i], transform=f) for f in (abs, str)])),
        ValueError,
        "parts of the ConcatDataset have different transforms",
    ),
    "index out of range": (lambda: smote()[40], IndexError, "index 40 is out of range for 40"),
    # --- samplers and plans
    "the sampler's class": (lambda: smote(sampler=SMOTE), TypeError, r"SMOTE \(the class\)"),
    "no SMOTE": (
        lambda: smote(sampler=SMOTENC([0])),
        TypeError,
        "must be an instance of.*got SMOTENC",
    ),
    "copies with noise": (
        lambda: smote(sampler=RandomOverSampler(shrinkage=0.5)),
        ValueError,
        r"RandomOverSampler\(shrinkage=0.5\) adds noise.*shrinkage=None, or SMOTE",
    ),
    "a share above 1": (lambda: smote(real_share=50), ValueError, r"real_share must be in \[0, 1\]; got 50"),
    "only blends": (
        lambda: smote(blend="all", blend_share=1),
        ValueError,
        "blend_share must be between 0 and 1.*got 1",
    ),
    "two shares": (
        lambda: smote(blend="all", real_share=0.5),
        ValueError,
        'real_share is for blend="oversampled". With blend="all", pass blend_share',
    ),
    "a share of no blends": (lambda: smote(blend_share=0.5), ValueError, 'blend_share needs blend="all".*real_share'),
    "unknown blend": (lambda: smote(blend="rare"), ValueError, r"blend must be one of \('oversampled', 'all'\)"),
    "unknown partners": (lambda: smote(partners="all"), ValueError, r"partners must be one of \('nearest', 'any'\)"),
    "blends of over-sampling": (
        lambda: smote(sampler=RandomOverSampler(), real_share=0.5),
        ValueError,
        r"real_share is about blends, and RandomOverSampler makes none: pass sampler=SMOTE\(\)",
    ),
    "any partner at the border": (
        lambda: smote(sampler=ADASYN(), partners="any"),
        ValueError,
        r"partners 'any' does not work with ADASYN: .* Pass sampler=SMOTE\(\)",
    ),
    "features of no search": (
        lambda: smote(partners="any", features=np.zeros((30, 2))),
        ValueError,
        'features are for the neighbour search, and none is made with .*partners="any"',
    ),
    "a share that the plan lacks": (
        lambda: smote(plan=smote().plan, real_share=0.8),
        ValueError,
        r"other options .*real_share=None \(wanted 0.8\)",
    ),
    "SVMSMOTE": (lambda: smote(sampler=SVMSMOTE()), TypeError, "got SVMSMOTE.*look at the features themselves"),
    "KMeansSMOTE": (lambda: smote(sampler=KMeansSMOTE()), TypeError, "got KMeansSMOTE"),
    "SMOTENC": (lambda: smote(sampler=SMOTENC([0])), TypeError, "got SMOTENC"),
    "a class that is not there": (lambda: smote(sampler=SMOTE(sampling_strategy={7: 9})), ValueError, "7"),
    "fewer than there are": (lambda: smote(sampler=SMOTE(sampling_strategy={1: 3})), ValueError, "number of samples"),
    "k of zero": (lambda: smote(sampler=SMOTE(k_neighbors=0)), ValueError, "k_neighbors"),
    "ADASYN far from others": (
        lambda: smote(sampler=ADASYN(), features=100.0 * LABELS[:, None] + torch.rand(30, 1)),
        RuntimeError,
        "Use SMOTE instead",
    ),
    "another data set's plan": (
        lambda: c.SMOTEDataset(Subset(BASE, range(5, 30)), plan=smote().plan),
        ValueError,
        "made for another data set",
    ),
    "features for a plan": (
        lambda: smote(plan=smote().plan, features=IMAGES[:, 0, 0]),
        ValueError,
        "a plan= has done it",
    ),
    "another sampler's plan": (plan_of_other_options, ValueError, "made with other options"),
    "two images of different size": (lambda: blend(IMAGES[0], IMAGES[0, :, :4], 0.5), ValueError, "image_size="),
    "tensor and array": (lambda: blend(IMAGES[0], IMAGES[0].numpy(), 0.5), ValueError, "differ"),
    # --- targets
    "soft target": (lambda: c.decode_target(torch.rand(3, 2)), TypeError, "Soft targets .mixup, cutmix"),
    "bool label": (lambda: c.encode_target(True, False), TypeError, "must be a class index"),
    "int flag": (lambda: c.encode_target(torch.arange(3), torch.tensor([0, 1, 1])), TypeError, "must be bool"),
    "encoded twice": (lambda: c.encode_target(c.encode_target(1, True), True), ValueError, "encoded already"),
    "class 0 encoded twice": (lambda: c.encode_target(c.encode_target(0, True), False), ValueError, "encoded already"),
    "synthetic but ignored": (lambda: c.encode_target(-100, True), ValueError, "only for a real sample"),
    # --- loss
    "beta of zero": (lambda: loss(beta=0.0), ValueError, "beta must be positive; got 0.0"),
    "a list of weights": (lambda: loss(weight=[1.0, 2.0]), TypeError, "weight must be a float tensor.*got list"),
    "a folder that is not there": (
        lambda: c.TripletPretrainer(network()).save("no_such_folder/w.safetensors"),
        FileNotFoundError,
        "no_such_folder is not a folder",
    ),
    "beta of NaN": (lambda: loss(beta=float("nan")), ValueError, "beta must be positive; got nan"),
    "no tracker": (lambda: c.CappedSMOTELoss(), ValueError, "needs tracker=ClassCentroidTracker.*distance=None"),
    "unknown distance": (lambda: loss(distance="manhattan"), ValueError, "distance must be one of.*'manhattan'"),
    "unknown gradient": (lambda: loss(gradient="reverse"), ValueError, "gradient must be one of.*'reverse'"),
    "unknown reduction": (lambda: loss(reduction="avg"), ValueError, "reduction must be one of.*'avg'"),
    "smoothing of two": (lambda: loss(label_smoothing=2.0), ValueError, r"label_smoothing must be in \[0, 1\]"),
    "flow without a graph": (
        lambda: c.capped_cross_entropy(LOGITS.clone().requires_grad_(), LABELS, FLAGS, CAP, gradient="flow"),
        ValueError,
        "cap has no graph",
    ),
    "flow through a constant": (lambda: loss(gradient="flow"), ValueError, "a constant cap .distance=None. has none"),
    "negative warm-up": (lambda: loss(warmup_epochs=-1), ValueError, "warmup_epochs must be 0 or more"),
    "warm-up without epochs": (no_warm_up_epoch, RuntimeError, r"call criterion.set_epoch\(epoch\)"),
    "mixup's target": (lambda: loss()(LOGITS, torch.rand(30, 2)), TypeError, "Soft targets"),
    "target of another batch": (lambda: loss()(LOGITS, LABELS[:5]), ValueError, r"target must have shape \(30,\)"),
    "segmentation": (
        lambda: loss()(torch.randn(2, 2, 8, 8), LABELS[:2]),
        ValueError,
        r"logits must be float of shape \(N, C\)",
    ),
    "distilled outputs": (distilled, TypeError, "got tuple.*set_distilled_training"),
    "int flags": (lambda: c.capped_cross_entropy(LOGITS, LABELS, LABELS, CAP), ValueError, "is_synthetic must be bool"),
    "one cap": (
        lambda: c.capped_cross_entropy(LOGITS, LABELS, FLAGS, CAP[:1]),
        ValueError,
        r"cap must be float of shape \(30,\)",
    ),
    "encoded target, flags given": (
        lambda: loss()(LOGITS, c.encode_target(LABELS, FLAGS), is_synthetic=FLAGS),
        IndexError,
        "out of bounds",
    ),
    "flags by position": (lambda: loss()(LOGITS, LABELS, FLAGS), TypeError, r"torch.bool.*is_synthetic=flags"),
    "class out of range": (lambda: loss()(LOGITS, LABELS + 1), IndexError, "Target 2 is out of bounds"),
    "another model's batch": (
        stale_loss,
        ValueError,
        "embeddings of 7 samples do not belong to logits of 30 rows.*EMA",
    ),
    "another width": (changed_width, ValueError, "with one D"),
    "caps for other labels": (
        lambda: c.cosine_cap(IMAGES[:, 0, 0], LABELS[:3], torch.rand(2, 32)),
        ValueError,
        "one for each row",
    ),
    "negative beta": (
        lambda: c.cosine_cap(IMAGES[:, 0, 0], LABELS, torch.rand(2, 32), -1.0),
        ValueError,
        "beta must be positive",
    ),
    # --- tracker
    "unknown mode": (
        lambda: c.ClassCentroidTracker(network(), 2, mode="step"),
        ValueError,
        "mode must be one of.*'step'",
    ),  # type: ignore[arg-type]
    "unknown statistic": (
        lambda: c.ClassCentroidTracker(network(), 2, statistic="median"),  # type: ignore[arg-type]
        ValueError,
        "statistic must be one of.*'median'",
    ),
    "mean image online": (
        lambda: c.ClassCentroidTracker(network(), 2, mode="online", statistic="mean_image"),
        ValueError,
        'needs mode="epoch"',
    ),
    "no classes": (lambda: c.ClassCentroidTracker(network(), 0), ValueError, "num_classes must be at least 1"),
    "unnamed classifier": (
        lambda: c.ClassCentroidTracker(nn.Sequential(nn.Linear(3, 2)), 4),
        ValueError,
        "Sequential: num_classes=4, but 0 has 2 outputs.*classifier=",
    ),
    "two linear layers with the outputs of a classifier": (
        lambda: c.ClassCentroidTracker(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), 2),
        ValueError,
        "more than one linear layer with 2 outputs: .'0', '1'.*classifier=",
    ),
    "a hidden layer with a usual name": (
        lambda: c.TripletPretrainer(nn.Sequential(OrderedDict(fc=nn.Linear(3, 4), out=nn.Linear(4, 2)))),
        ValueError,
        "Sequential has linear layers after.*last may be the classifier.*classifier=",
    ),
    "a frozen backbone": (frozen_backbone, ValueError, "nothing to train: no parameter outside the classifier"),
    "logits of an earlier forward pass": (earlier_logits, RuntimeError, "logits are those of an earlier forward pass"),
    "counts of a SMOTEDataset for class weights": (
        lambda: c.class_balanced_weights(smote().counts_by_class()),
        TypeError,
        r"counts must be a sequence.*got a dict of \[0, 1\].*np.bincount\(train_set.labels",
    ),
    "a dict of logits": (
        lambda: loss()({"logits": LOGITS}, LABELS),
        TypeError,
        "logits must be a tensor.*got dict.*output.logits",
    ),
    "batches that are dicts": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh([{"image": IMAGES[0], "label": 0}]),
        TypeError,
        r"needs batches of \(image, target\).*got a dict of .'image', 'label'",
    ),
    "a third item that is no flag": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(TensorDataset(IMAGES, LABELS, LABELS)),
        TypeError,
        "third item must be bool, and is torch.int64",
    ),
    "flags of another shape": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(TensorDataset(IMAGES, LABELS, FLAGS[:, None])),
        ValueError,
        r"same shape \(N,\)",
    ),
    "misspelt classifier": (
        lambda: c.ClassCentroidTracker(network(), 2, classifier="fcc"),
        ValueError,
        "no layer 'fcc'.*fc",
    ),
    "a stranger as classifier": (
        lambda: c.ClassCentroidTracker(network(), 2, classifier=nn.Linear(2, 2)),
        ValueError,
        "must be part of the model",
    ),
    "compiled and run before": (late_compile, RuntimeError, "before the first call of a compiled model"),
    "classifier replaced": (replaced_classifier, RuntimeError, "reset_classifier"),
    "a refresh of nothing": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(),
        ValueError,
        "pass the training set",
    ),
    "a refresh of a number": (lambda: c.ClassCentroidTracker(network(), 2).refresh(3), TypeError, "got int"),  # type: ignore[arg-type]
    "more labels than classes": (
        lambda: c.ClassCentroidTracker(network(), 1).refresh(BASE),
        ValueError,
        "label 1 is out of range",
    ),
    "transform of a loader": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(DataLoader(BASE), transform=abs),
        ValueError,
        "a loader's is fixed",
    ),
    "no linear layer": (
        lambda: c.ClassCentroidTracker(nn.Sequential(nn.Conv2d(3, 2, 1)), 4),
        ValueError,
        "linear layer with 4 outputs.*classifier=.*layers are ..0",
    ),
    "num_classes of another network": (
        lambda: c.ClassCentroidTracker(torchvision.models.resnet18(num_classes=3), 2),
        ValueError,
        "ResNet: num_classes=2, but fc has 3 outputs.*classifier=",
    ),
    "num_classes of no network": (
        lambda: c.ClassCentroidTracker(torchvision.models.mobilenet_v2(num_classes=3), 5),
        ValueError,
        "MobileNetV2: num_classes=5, but classifier has 3 outputs",
    ),
    "a tracker of more classes": (more_classes, ValueError, "logits have 2 classes.*num_classes=5"),
    "a refresh of an empty subset": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(Subset(BASE, [])),
        ValueError,
        "read no real image of Subset, so that no class has a centroid.*Pass the training set",
    ),
    "a refresh of a loader that is used up": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(iter([])),
        ValueError,
        "read no real image of list_iterator",
    ),
    "16 bits as torchvision's ToTensor wraps them": (
        lambda: c.ClassCentroidTracker(network(), 2).refresh(TensorDataset(IMAGES.to(torch.int16), LABELS)),
        TypeError,
        r"got torch.int16.*Do not call .float\(\).*wraps values above 32767. Scale the image to \[0, 1\]",
    ),
    **{
        f"a {name} that is text": (
            lambda use=use: use("1e-3"),
            TypeError,
            f"{name.split()[0]} must be a number; got str '1e-3'.*YAML",
        )
        for name, use in {
            "beta": lambda text: loss(beta=text),
            "beta of a cap": lambda text: c.cosine_cap(IMAGES[:, 0, 0], LABELS, torch.rand(2, 32), text),
            "beta of weights": lambda text: c.class_balanced_weights([5, 2], beta=text),
            "tau": lambda text: c.log_prior([5, 2], tau=text),
            "margin": lambda text: c.TripletPretrainer(network(), margin=text),
            "margin of a loss": lambda text: c.triplet_margin_loss(LOGITS, LOGITS, LOGITS, text),
            "lr": lambda text: c.TripletPretrainer(network()).fit(smote(), epochs=1, lr=text),
            "epochs": lambda text: c.TripletPretrainer(network()).fit(smote(), epochs=text),
            "batch_size": lambda text: c.TripletPretrainer(network()).fit(smote(), epochs=1, batch_size=text),
            "label_smoothing": lambda text: loss(label_smoothing=text),
            "warmup_epochs": lambda text: loss(warmup_epochs=text),
            "ignore_index": lambda text: loss(ignore_index=text),
            "num_classes": lambda text: c.ClassCentroidTracker(network(), text),
            "cache_mb": lambda text: smote(cache_mb=text),
            "real_share": lambda text: smote(real_share=text),
            "blend_share": lambda text: smote(blend="all", blend_share=text),
            "epoch": lambda text: c.begin_epoch(loss(), smote(), text),
            "C": lambda text: rebalanced_head(network(), BASE, C=text),
        }.items()
    },
    "no beta": (lambda: loss(beta=None), TypeError, "beta must be a number; got NoneType None"),
    "image_size that is a float": (
        lambda: smote(image_size=8.5),
        ValueError,
        "image_size must be .height, width.*got 8.5",
    ),
    "labels one short": (
        lambda: c.SMOTEDataset(Subset(GivenItems([(IMAGES[i], 0) for i in range(30)], labels=LABELS[1:]), range(20))),
        ValueError,
        "GivenItems.labels holds 29 values for 30 samples.*Pass labels=",
    ),
    "label before image": (
        lambda: c.SMOTEDataset(GivenItems([(int(LABELS[i]), IMAGES[i]) for i in range(30)], targets=LABELS)),
        TypeError,
        r"item 20 is a tuple of 2 whose second is the image.*item\[1\], item\[0\]",
    ),
    "label before image, with passed labels": (
        lambda: c.SMOTEDataset(GivenItems([(LABELS[i], IMAGES[i]) for i in range(30)]), labels=LABELS),
        TypeError,
        r"real image 20: an image must have rows and columns; got a single number. Are the items \(label, image\)",
    ),
    "mixing as transform": (
        lambda: c.SMOTEDataset(Transformed(IMAGES, LABELS, v2.CutMix(num_classes=2))),
        RuntimeError,
        "the transform of the data set fails for image 0: ValueError: labels should be.*after the loader",
    ),
    # --- epochs
    **{
        f"an epoch of {name}": (lambda made=made: c.begin_epoch(loss(), made(), 0), TypeError, message)
        for name, made, message in (
            ("a loader", lambda: DataLoader(smote()), r"must be the SMOTEDataset; got DataLoader.*loader.dataset"),
            ("a base", lambda: BASE, r"got TensorDataset.*before SMOTEDataset\(base\)"),
            ("a part", lambda: Subset(smote(), [0]), "got Subset.*split and concatenate before"),
            ("two data sets", lambda: ConcatDataset([smote(), smote()]), "got ConcatDataset"),
            ("a loss", loss, "got CappedSMOTELoss"),
        )
    },
    "an epoch of swapped arguments": (
        lambda: c.begin_epoch(smote(), loss(), 0),
        TypeError,
        r"criterion must be a CappedSMOTELoss; got SMOTEDataset. Call begin_epoch\(criterion, train_set, epoch\)",
    ),
    "an epoch of torch's loss": (
        lambda: c.begin_epoch(nn.CrossEntropyLoss(), smote(), 0),
        TypeError,
        r"got CrossEntropyLoss.*train_set.set_epoch\(epoch\)",
    ),
    "the end of a data set": (lambda: c.end_epoch(smote()), TypeError, r"got SMOTEDataset.*end_epoch\(criterion\)"),
    "a tracker of fewer classes": (fewer_classes, ValueError, "logits have 2 classes.*num_classes=1"),
    "online without a refresh": (
        online_without_refresh,
        RuntimeError,
        r"call begin_epoch\(criterion, train_set, epoch\).*tracker.refresh",
    ),
    "another number of classes": (
        lambda: c.ClassCentroidTracker(network(), 2).load_state_dict(
            {"counts": torch.ones(3), "is_refreshed": torch.tensor(True)}
        ),
        ValueError,
        "the state holds 3 classes",
    ),
    # --- triplets
    "negative margin": (lambda: c.TripletPretrainer(network(), margin=-1.0), ValueError, "margin must be 0 or more"),
    "unknown anchors": (lambda: c.TripletPretrainer(network(), anchors="fake"), ValueError, "anchors must be one of"),  # type: ignore[arg-type]
    "unknown sampling": (
        lambda: c.TripletPretrainer(network(), sampling="epoch"),
        ValueError,
        "sampling must be one of",
    ),  # type: ignore[arg-type]
    "a loss over the data set": (
        lambda: c.TripletPretrainer(network(), loss=min),
        ValueError,
        'needs sampling="batch"',
    ),
    "pretraining on a plain data set": (
        lambda: c.TripletPretrainer(network()).fit(BASE, epochs=1),
        TypeError,
        "got TensorDataset",
    ),  # type: ignore[arg-type]
    "pretraining on uint8": (uint8_pretraining, TypeError, "needs batches of float images; got torch.uint8"),
    "amp of True": (
        lambda: c.TripletPretrainer(network()).fit(smote(), epochs=1, amp=True),  # type: ignore[arg-type]
        ValueError,
        "amp must be torch.bfloat16.*got True",
    ),
    "batches of nothing": (
        lambda: c.TripletPretrainer(network()).fit(smote(), epochs=1, batch_size=0),
        ValueError,
        "batch_size 1 or more",
    ),
    "embeddings of two shapes": (
        lambda: c.triplet_margin_loss(CAP[:, None], CAP[:, None], LOGITS),
        ValueError,
        "one shape",
    ),
    # --- weights
    "a class without samples": (lambda: c.class_balanced_weights([5, 0]), ValueError, r"classes \[1\] have none"),
    "beta above one": (lambda: c.class_balanced_weights([5, 2], beta=1.1), ValueError, r"beta must be in \[0, 1\]"),
    "a prior of a class without samples": (lambda: c.log_prior([5, 0]), ValueError, r"classes \[1\] have none"),
    "a negative tau": (lambda: c.log_prior([5, 2], tau=-1.0), ValueError, "tau must be 0 or more; got -1.0"),
    # --- which samples are capped, and logit adjustment
    "an unknown kind of capped samples": (
        lambda: loss(capped="rare"),
        ValueError,
        r"capped must be one of \('synthetic', 'oversampled'\); got 'rare'",
    ),
    "over-sampled classes that nobody told": (
        lambda: loss(capped="oversampled")(LOGITS, LABELS),
        RuntimeError,
        r"begin_epoch\(criterion, train_set, epoch\), or criterion.set_oversampled_classes\(train_set.oversampled_classes\)",
    ),
    "a mask of over-sampled classes": (
        lambda: loss().set_oversampled_classes(torch.tensor([False, True])),
        TypeError,
        "classes must be class indices, such as train_set.oversampled_classes; got torch.bool",
    ),
    "a negative over-sampled class": (lambda: loss().set_oversampled_classes([-1]), ValueError, "0 or more; got -1"),
    "an over-sampled class without logits": (
        of_another_model,
        ValueError,
        "class 4 is over-sampled, but the logits have 2 classes",
    ),
    "a list as logit adjustment": (
        lambda: loss(logit_adjustment=[0.0, 1.0]),
        TypeError,
        r"logit_adjustment must be a float tensor of shape \(C,\); got list: log_prior\(counts",
    ),
    "counts as logit adjustment": (
        lambda: loss(logit_adjustment=torch.tensor([20, 10])),
        TypeError,
        "must be a float tensor.*got torch.int64",
    ),
    "a logit adjustment of other classes": (
        lambda: loss(logit_adjustment=c.log_prior([5, 2, 1]))(LOGITS, LABELS),
        ValueError,
        r"must have shape \(2,\), one number for each class of the logits .*; got \(3,\)",
    ),
    "a matrix of counts": (lambda: c.class_balanced_weights(np.ones((2, 2))), ValueError, r"shape \(C,\)"),
}


@pytest.mark.parametrize("use", WRONG)
def test_a_wrong_use_is_refused_with_a_message_that_helps(use: str) -> None:
    wrong, error, message = WRONG[use]
    with pytest.raises(error, match=f"(?s){message}") as raised:
        wrong()
    assert len(str(raised.value)) < 1500  # no image is printed


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    for name, count in (("common", 20), ("rare", 8)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("L", (8, 8), i).save(tmp_path / name / f"{i:02}.png")
    broken = tmp_path / "rare" / "03.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(RuntimeError, match=r"real image 23 \(.*rare/03.png\) cannot be read"):
        c.SMOTEDataset(ImageFolder(str(tmp_path)))


@pytest.mark.parametrize("content", [b"no such thing", None])
def test_a_file_that_holds_no_plan_is_refused_and_stays(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    if content is None:
        save_file({"fc.weight": torch.ones(2)}, path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"weights.safetensors (holds no SMOTE plan|is not a .safetensors file)"):
        c.SMOTEPlan.load(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("when", ["planning", "training"])
def test_timm_does_not_put_another_image_in_the_place_of_an_unreadable_one(when: str, tmp_path: Path) -> None:
    for name, count in (("common", 20), ("rare", 8)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / name / f"{i:02}.png")
    broken = {"planning": tmp_path / "rare" / "03.png", "training": tmp_path / "common" / "03.png"}[when]
    broken.write_bytes(broken.read_bytes()[:20])
    if not hasattr(timm.data.create_dataset("", str(tmp_path)), "_max_retries"):
        pytest.skip(f"timm {timm.__version__} cannot be told not to; it warns 'Skipped sample'")
    with pytest.raises(RuntimeError, match=rf"real image \d+ \(.*{broken.name}\) cannot be read"):
        c.SMOTEDataset(timm.data.create_dataset("", str(tmp_path)))[3]
