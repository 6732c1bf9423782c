"""Made-up lines of runs whose means can be told by eye."""

from benchmarks.methods.registry import MAIN_METHODS, METHODS
from benchmarks.report.groups import groups_of
from benchmarks.report.tables import tables_of

VALUE = {name: 0.6 + 0.01 * i for i, name in enumerate(METHODS)}  # test AUROC of each method


def line(
    method, seed=0, *, suite="cifar10-ablation", experiment="binary", kind=None, preset="correct", role="trial", **more
):
    """A line as a run writes it; its test AUROC is that of the method, plus 0.001 for each seed."""
    value = more.get("value", VALUE[method] + 0.001 * seed)
    metrics = {"auroc": value, "auprc": value, "balanced_accuracy": value, "ece": 0.1}
    if kind:
        metrics["conditions"] = {"rare": value - 0.1, "frequent": value + 0.1}
    parts = {"test": metrics} | (
        {"validation": {**metrics, "auroc": more.get("validation", value)}} if preset == "correct" else {}
    )
    curve = [
        {"epoch": i + 1, "step": 10 * (i + 1), "loss": 1.0, "auroc": {part: of["auroc"] - 0.05 * (2 - i) for part, of in parts.items()}}
        for i in range(3)
    ]  # fmt: skip
    if "curve" in more:
        for point, auroc in zip(curve, more["curve"], strict=True):
            point["auroc"]["test"] = auroc
    counts = {"normal": 100, "frequent": 60, "rare": 3} if kind else {"a": 100, "b": 5}
    return {
        "id": repr((method, seed, experiment, preset, role, more.get("lr"))),
        "role": role,
        "config": {
            "suite": suite,
            "experiment": {
                "source": "x", "digest": "d", "image_size": 32, "name": experiment, "kind": kind or experiment, "counts": counts,
            },
            "method": METHODS[method].chosen(),
            "settings": {"preset": preset, "model": "convnet", "steps": 30, "epochs": 3, "batch_size": 8, "augmentation": "none",
                         "lr": more.get("lr", 0.001)},
            "seed": seed,
            **({"learning_rates": more["rates"]} if "rates" in more else {}),
        },
        "chosen_epoch": 3,
        "chosen": parts,
        "last": parts,
        "curve": curve,
        "share_capped": 0.25 if METHODS[method].loss == "capped" else None,
        "steps": 30,
        "seconds": {"training": 60.0},
        "environment": {"torch": "2", "device": "cpu", "threads": 1, "cpus": 2},
    }  # fmt: skip


def seventeen():
    kinds = {"interclass": ["interclass"], "both-single": ["both-single-x", "both-single-y"]}
    return [
        line(method.name, seed, suite="cifar10-17", experiment=experiment, kind=kind)
        for kind, experiments in kinds.items()
        for experiment in experiments
        for method in MAIN_METHODS
        for seed in range(2)
    ]


def tables(records):
    """The tables of the only group of some lines, by name."""
    (group,) = groups_of(records)
    return {table.name: table for table in tables_of(group)}


def rows_of(table):
    """The cells of a table, row by row."""
    return list(table.cells.itertuples(index=False, name=None))
