"""What a report says about the training: network, counts of the classes, options and their meaning."""

from typing import TYPE_CHECKING, Any

from clesmote_losses.inspection.wording import class_name, nats, percent, shorten

if TYPE_CHECKING:
    from clesmote_losses.inspection.inspection import Inspection

WORDS = (
    ("Synthetic image, blend", "An image made of two real ones of a class: (1 - λ) times the first plus λ times the second."),
    ("λ (lambda)", "The share of the second parent in a blend, from 0 to 1. Near 0 or 1 the blend is nearly a real image."),
    (
        "Loss",
        "Cross-entropy in nats: 0 if the network is sure of the label, 0.69 (ln 2) if it guesses between two classes, ln C if it "
        "guesses between C classes.",
    ),
    (
        "Cap",
        "The most that a blend may cost, in nats. With a distance, it is beta over the distance of the blend's embedding to the "
        "centroid of its class: low for a blend far from its class.",
    ),
    ("Over its cap, not trusted", "A blend whose loss is above its cap. In the default setting it has no gradient in training."),
    ("Embedding", "The numbers that the last layer of the network takes: what the network makes of an image."),
    ("Centroid", "The mean embedding of the real images of a class."),
    ("Over-sampled class", "A class that the sampler raises, with synthetic images or copies, to more images than it has."),
)  # fmt: skip

_SAMPLER_WORDS = {
    "SMOTE": "blends of an image and one of its nearest images of the class",
    "BorderlineSMOTE": "blends of images near other classes",
    "ADASYN": "blends, more of images near other classes",
    "RandomOverSampler": "plain copies, no blends",
}
_MEANINGS = {
    "k_neighbors": "nearest images that a blend's second parent is drawn from",
    "random_state": "seed of the draw",
    "small_class": "what is done with a class of k or fewer images",
    "real_share": "at least this share of each over-sampled class stays real",
    "blend": "which classes have blends",
    "blend_share": "share of each class that is blends",
    "partners": "which images may be blended",
}


_CHOICES = {  # of gradient and capped
    "stop": "a blend over its cap has no gradient",
    "scale": "the gradient of a blend over its cap is multiplied by cap / loss",
    "flow": "a blend over its cap has the gradient of the cap, which pushes it away from the centroid of its class",
    "synthetic": "the cap applies to synthetic images",
    "oversampled": "the cap applies to all images of the over-sampled classes, real ones too",
}
_LOSS_MEANINGS = {
    "warmup_epochs": "first epochs without caps",
    "label_smoothing": "share of each label that is spread over all classes",
    "weight": "class weights, by which loss and cap are multiplied",
    "logit_adjustment": "what is added to the logits in training, such as the logarithm of the classes' shares",
}


def trained(inspection: "Inspection") -> list[str]:
    """Name network and training set."""
    train_set, real = inspection.train_set, inspection.real
    oversampled = train_set.oversampled_classes
    total = train_set.plan.num_real
    transform = train_set.transform if inspection.transform is None else inspection.transform
    said = [
        f"Network: {inspection.network}.",
        f"Training set: {type(train_set.base).__name__} of {total} real images, and {len(train_set) - total} samples added by "
        f"{train_set.plan.options['sampler']}.",
        f"Over-sampled classes: {', '.join(class_name(inspection, c) for c in oversampled[:20])}{', …' if len(oversampled) > 20 else ''}."
        if oversampled
        else "No class is over-sampled.",
        f"Looked at through: {shorten(' '.join(str(transform).split()), 400)}."
        if transform is not None
        else "The images are looked at without a transform.",
    ]
    if len(real) < total:
        said.append(
            f"{len(real)} real images were run: all of the over-sampled classes, all parents, and a part of the others."
        )
    return said


def class_rows(inspection: "Inspection", count: int) -> tuple[list[dict[str, Any]], int]:
    """Return a row for each class, those with synthetic images first, and how many classes are left out.

    Args:
        inspection: What :func:`inspect_synthetic` returned.
        count: Most rows.
    """
    counts = inspection.train_set.counts_by_class()
    synthetic = dict(list(inspection.table.groupby("class")))
    real = inspection.real.groupby("class")["loss"].median()
    order = sorted(counts, key=lambda label: (-counts[label][2], label))
    rows = []
    for label in order[:count]:
        images, copies, blends = counts[label]
        row = {"name": class_name(inspection, label), "real": images, "copies": copies, "synthetic": blends}
        row |= {"total": images + copies + blends, "share": "", "cap": "", "loss": ""}
        row["real_loss"] = nats(real[label]) if label in real.index else ""
        if (group := synthetic.get(label)) is not None:
            row |= {name: nats(group[name].median()) for name in ("cap", "loss")}
            row["share"] = percent(group["capped"].mean())
        rows.append(row)
    return rows, len(order) - len(rows)


def option_rows(inspection: "Inspection") -> list[tuple[str, str, str]]:
    """Return name, value and meaning of each option that the inspection knows."""
    train_set = inspection.train_set
    recorded = dict(train_set.plan.options)
    sampler = recorded.pop("sampler")
    recorded.pop("n_samples", None)  # in the table of the classes
    cap = {None: "a constant cap of beta nats", "cosine": "cosine distance, 0 to 2", "euclidean": "Euclidean distance"}
    distance = inspection.distance
    rows = [
        ("sampler", sampler, _SAMPLER_WORDS.get(sampler, "")),
        *((name, shorten(str(value), 60), _MEANINGS.get(name, "")) for name, value in recorded.items()),
        ("redraw", train_set.redraw, "new synthetic images in each epoch" if train_set.redraw == "epoch" else "the same in each epoch"),
        ("beta", nats(inspection.beta), "noise tolerance: a higher one caps less"),
        ("distance", str(distance), cap.get(distance, "of the embedding to the centroid of its class")),
    ]  # fmt: skip
    for name, value in inspection.loss_options.items():
        said = ("given" if value else "none") if isinstance(value, bool) else str(value)
        rows.append((name, said, _LOSS_MEANINGS.get(name) or _CHOICES[value]))
    if not inspection.loss_options:
        rows.append(
            ("other options of the loss", "not known", "pass the criterion of the training to inspect_synthetic")
        )
    if train_set._groups is not None:
        rows.append(("groups", "given", "no two images of one group, such as a patient, are blended"))
    if train_set._strata is not None:
        rows.append(("strata", "given", "these groups are balanced in place of the classes"))
    return rows
