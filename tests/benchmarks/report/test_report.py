"""Tables and figures, from made-up lines whose means can be told by eye, and from the committed ones."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.methods.registry import ABLATION, BASELINES, MAIN_METHODS, METHODS, MODERN, VARIANTS
from benchmarks.report import figures
from benchmarks.report.groups import groups_of
from benchmarks.report.tables import best_variant, others_of, tables_of
from benchmarks.report.write import write_report
from benchmarks.sweep.store import read_records
from tests.support.committed import RESULTS, assert_committed

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
    (group,) = groups_of(records)
    return {table.name: table for table in tables_of(group)}


def test_the_papers_number_stands_beside_ours():
    table = tables([line("smote", seed) for seed in range(3)])["auroc-test"]
    assert table.headings[-1] == "Paper: AUROC (variance)"
    value = VALUE["smote"] + 0.001
    assert table.rows == ((
        "binary", "Vanilla SMOTE", f"{value:.4f}", "1.00e-06", f"{value - 0.002484:.4f} ... {value + 0.002484:.4f}", "3", "0.829 (2.30e-03)",
    ),)  # fmt: skip
    assert list(csv.reader(table.csv().splitlines()))[1] == list(table.rows[0])
    assert f"| binary | Vanilla SMOTE | {value:.4f} |" in table.markdown()


def test_trials_chosen_from_another_grid_are_a_group_of_their_own():
    records = [line("none", rates=[0.1]), line("none", rates=[0.2], lr=0.2), line("none")]
    assert len(groups_of(records)) == 3
    assert len(groups_of([line("none", rates=[0.1]), line("smote", rates=[0.1], lr=0.3)])) == 1


def test_as_published_takes_the_epoch_that_is_best_in_the_mean_over_the_trials():
    records = [
        line("smote", 0, preset="as_published", curve=[0.5, 0.9, 0.8]),
        line("smote", 1, preset="as_published", curve=[0.9, 0.6, 0.8]),
        line("none", 0, preset="as_published", curve=[0.1, 0.2, 0.3]),
    ]
    found = tables(records)
    row = next(row for row in found["auroc-test"].rows if row[1] == "Vanilla SMOTE")
    assert row[2] == "0.8000"  # the third epoch: means are .70, .75, .80
    row = next(row for row in found["epochs-test"].rows if row[1] == "Vanilla SMOTE")
    assert row[2:5] == ("0.8000", "0.8000 (3)", "0.9000")


def test_cle_smote_is_compared_with_all_others_and_variants_with_it():
    names = [method.name for method in (*MAIN_METHODS, *ABLATION, *MODERN, *VARIANTS)] + ["balanced"]
    records = [line(name, seed) for name in names for seed in range(3)]
    (group,) = groups_of(records)
    others = others_of(group)
    assert set(others) == {m.name for m in (*BASELINES, *ABLATION, *MODERN)} | {"smote-redraw"}
    found = tables(records)
    comparison = {row[0]: row[1] for row in found["comparison-cle-smote-test"].rows}
    assert len(comparison) == len(others)
    assert comparison["Vanilla SMOTE"] == f"{VALUE['cle-smote'] - VALUE['smote']:+.4f}"
    best = best_variant(group)
    assert best == "smote-triplets"  # the last of the declared ones, so the highest here
    row = {row[0]: row[1] for row in found[f"comparison-{best}-test"].rows}
    assert "CLE-SMOTE" in row
    assert METHODS[best].title not in row
    variants = {row[0]: row for row in found["variants-test"].rows}
    assert variants["CLE-SMOTE, gradient scaled"][1] == f"{VALUE['cle-smote-scale'] - VALUE['cle-smote']:+.4f}"
    assert variants["CLE-SMOTE, gradient scaled"][-1] == "3 / 0 / 0"


def test_the_best_variant_is_best_on_validation_over_the_runs_that_all_have():
    records = [line("cle-smote", seed, validation=0.5) for seed in range(3)]
    records += [line("cle-smote-scale", 0, validation=0.4), line("cle-smote-flow", 0, validation=0.6, value=0.1)]
    (group,) = groups_of(records)
    assert best_variant(group) == "cle-smote-flow"


def test_sub_conditions_are_told_by_how_frequent_they_are():
    table = tables(seventeen())["conditions-test"]
    row = next(row for row in table.rows if row[:2] == ("Interclass", "No method"))
    value = VALUE["none"] + 0.0005
    assert row[2:] == (f"{value + 0.1:.4f}", f"{value - 0.1:.4f}", f"{value - 0.1:.4f}")


def test_choices_show_what_was_searched_for():
    rates = [0.001, 0.01]
    tried = ((0.001, 0.7), (0.01, 0.8), (0.0003, 0.9))  # the last one was chosen from by others
    records = [line("class-cosine-cap", 9, role="tuning", lr=lr, validation=v) for lr, v in tried]
    records += [line("class-cosine-cap", seed, lr=0.01, rates=rates) for seed in range(2)]
    assert tables(records)["choices"].rows == (
        ("binary", "Class-average cosine cap", "lr 0.01, beta 1", "2", "0.8000"),
    )


def test_trials_of_a_set_learning_rate_are_a_group_of_their_own_and_show_it(tmp_path):
    records = [line("smote", seed, lr=lr) for lr in (0.001, 0.01) for seed in range(2)]
    records += [line("smote", 0, lr=0.01, value=0.9)]
    records += [line("smote", 9, role="tuning", lr=lr) for lr in (0.001, 0.01)]
    first, second = groups_of(records)
    assert [len(group.trials) for group in (first, second)] == [2, 2]
    assert [group.superseded for group in (first, second)] == [0, 1]
    assert not first.tuning
    assert not second.tuning
    text = write_report(records, tmp_path)[0].read_text()
    assert "nothing tuned: learning rate 0.001" in text
    assert "learning rate 0.01 and the defaults of each method, 1 trials left out for later ones" in text


def test_methods_in_a_panel_differ_in_colour_dashes_and_marker(monkeypatch, tmp_path):
    drawn = []
    new_figure = figures.new_figure
    monkeypatch.setattr(
        figures, "new_figure", lambda *given, **options: drawn.append(new_figure(*given, **options)) or drawn[-1]
    )
    records = [line(name, seed) for name in METHODS for seed in range(2)]
    files = write_report(records, tmp_path)
    assert {path.name for path in files if path.suffix == ".png"} == {
        "figure-4-correct-convnet-binary.png", "figure-5-correct-convnet-binary.png", "more-correct-convnet-binary.png",
        "differences-correct-convnet.png",
    }  # fmt: skip
    shown = set()
    for _, axes in drawn[:3]:
        for place in axes.flat:
            for look in ("get_color", "get_linestyle", "get_marker"):
                looks = [
                    getattr(curve, look)() if look != "get_linestyle" else str(curve._dash_pattern)
                    for curve in place.get_lines()
                ]
                assert len(set(looks)) == len(looks), (place.get_title(), look, looks)
            shown |= {curve.get_label() for curve in place.get_lines()}
    assert shown == {method.title for method in METHODS.values()}


def test_rows_of_the_forest_stand_at_their_names(monkeypatch, tmp_path):
    drawn = []
    new_figure = figures.new_figure
    monkeypatch.setattr(
        figures, "new_figure", lambda *given, **options: drawn.append(new_figure(*given, **options)) or drawn[-1]
    )
    records = [
        r
        for r in seventeen()
        if not (r["config"]["experiment"]["kind"] == "interclass" and r["config"]["method"]["name"] == "none")
    ]
    write_report(records, tmp_path)
    _, axes = drawn[-1]
    panel = next(place for place in axes.flat if place.get_title() == "Interclass")
    names = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    dots = {
        names[round(curve.get_ydata()[0])]: curve.get_xdata()[0]
        for curve in panel.get_lines()
        if len(curve.get_xdata()) == 1
    }
    assert dots == {
        METHODS[name].title: pytest.approx(VALUE["cle-smote"] - VALUE[name])
        for name in ("oversampling", "weighted", "smote")
    }


@pytest.mark.parametrize("suite", ["cifar10-17", "cifar10-ablation"])
def test_a_folder_of_one_method_has_a_report_too(suite, tmp_path):
    kind = "interclass" if suite == "cifar10-17" else None
    files = write_report([line("focal", suite=suite, experiment=kind or "binary", kind=kind)], tmp_path)
    assert (tmp_path / "report.md") in files
    assert "Focal loss" in (tmp_path / "report.md").read_text()


def test_figures_are_drawn_and_small(tmp_path):
    files = [path for path in write_report(seventeen(), tmp_path) if path.suffix == ".png"]
    assert [path.name for path in files] == ["figure-3-correct-convnet.png", "differences-correct-convnet.png"]
    for path in files:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 250
        assert 0.005 < (pixels < 200).mean() < 0.9
        assert path.stat().st_size < 300_000


COMMITTED = sorted(path.parent for path in RESULTS.glob("*/report.md"))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_committed_reports_are_those_of_the_committed_lines(folder, tmp_path):
    lines = list(folder.glob("*.jsonl"))
    for path in lines:
        shutil.copy(path, tmp_path)
    assert_committed(write_report(list(read_records(tmp_path).values()), tmp_path), folder)
    assert all(path.stat().st_size < 1_000_000 for path in lines)
