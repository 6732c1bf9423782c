"""Tables, from made-up lines."""

import csv
import re

from benchmarks import metrics
from benchmarks.methods.registry import ABLATION, BASELINES, MAIN_METHODS, METHODS, MODERN, VARIANTS
from benchmarks.report.groups import groups_of
from benchmarks.report.tables import baselines_of, best_variant
from benchmarks.report.write import write_report
from tests.support.run_lines import VALUE, line, rows_of, seventeen, tables


def test_the_papers_number_stands_beside_ours():
    table = tables([line("smote", seed) for seed in range(3)])["auroc-test"]
    assert table.cells.columns[-1] == "Paper: AUROC (variance)"
    value = VALUE["smote"] + 0.001
    assert rows_of(table) == [(
        "binary", "Vanilla SMOTE", f"{value:.4f}", "1.00e-06", f"{value - 0.002484:.4f} ... {value + 0.002484:.4f}", "3", "0.829 (2.30e-03)",
    ),]  # fmt: skip
    assert list(csv.reader(table.csv().splitlines()))[1] == list(rows_of(table)[0])
    assert re.search(rf"\| binary +\| Vanilla SMOTE \| +{value:.4f} \|", table.markdown())


def test_as_published_takes_the_epoch_that_is_best_in_the_mean_over_the_trials():
    records = [
        line("smote", 0, preset="as_published", curve=[0.5, 0.9, 0.8]),
        line("smote", 1, preset="as_published", curve=[0.9, 0.6, 0.8]),
        line("none", 0, preset="as_published", curve=[0.1, 0.2, 0.3]),
    ]
    found = tables(records)
    row = next(row for row in rows_of(found["auroc-test"]) if row[1] == "Vanilla SMOTE")
    assert row[2] == "0.8000"  # the third epoch: means are .70, .75, .80
    row = next(row for row in rows_of(found["epochs-test"]) if row[1] == "Vanilla SMOTE")
    assert row[2:5] == ("0.8000", "0.8000 (3)", "0.9000")


def test_cle_smote_is_compared_with_all_others_and_variants_with_it():
    names = [method.name for method in (*MAIN_METHODS, *ABLATION, *MODERN, *VARIANTS)] + ["balanced"]
    records = [line(name, seed) for name in names for seed in range(3)]
    (group,) = groups_of(records)
    others = baselines_of(group)
    assert set(others) == {m.name for m in (*BASELINES, *ABLATION, *MODERN)} | {"smote-redraw"}
    found = tables(records)
    comparison = {row[0]: row[1] for row in rows_of(found["comparison-cle-smote-test"])}
    assert len(comparison) == len(others)
    assert comparison["Vanilla SMOTE"] == f"{VALUE['cle-smote'] - VALUE['smote']:+.4f}"
    best = best_variant(group)
    assert best == "smote-triplets"  # the last of the declared ones, so the highest here
    row = {row[0]: row[1] for row in rows_of(found[f"comparison-{best}-test"])}
    assert "CLE-SMOTE" in row
    assert METHODS[best].title not in row
    variants = {row[0]: row for row in rows_of(found["variants-test"])}
    assert variants["CLE-SMOTE, gradient scaled"][1] == f"{VALUE['cle-smote-scale'] - VALUE['cle-smote']:+.4f}"
    assert variants["CLE-SMOTE, gradient scaled"][-1] == "3 / 0 / 0"


def test_the_best_variant_is_best_on_validation_over_the_runs_that_all_have():
    records = [line("cle-smote", seed, validation=0.5) for seed in range(3)]
    records += [line("cle-smote-scale", 0, validation=0.4), line("cle-smote-flow", 0, validation=0.6, value=0.1)]
    (group,) = groups_of(records)
    assert best_variant(group) == "cle-smote-flow"


def test_sub_conditions_are_told_by_how_frequent_they_are():
    table = tables(seventeen())["conditions-test"]
    row = next(row for row in rows_of(table) if row[:2] == ("Interclass", "No method"))
    value = VALUE["none"] + 0.0005
    assert row[2:] == (f"{value + 0.1:.4f}", f"{value - 0.1:.4f}", f"{value - 0.1:.4f}")


def test_choices_show_what_was_searched_for():
    rates = [0.001, 0.01]
    tried = ((0.001, 0.7), (0.01, 0.8), (0.0003, 0.9))  # the last one was chosen from by others
    records = [line("class-cosine-cap", 9, role="tuning", lr=lr, validation=v) for lr, v in tried]
    records += [line("class-cosine-cap", seed, lr=0.01, rates=rates) for seed in range(2)]
    assert rows_of(tables(records)["choices"]) == [
        ("binary", "Class-average cosine cap", "lr 0.01, beta 1", "2", "0.8000"),
    ]


def test_a_new_metric_is_a_column_and_blank_for_lines_that_lack_it(monkeypatch):
    monkeypatch.setitem(metrics.METRICS, "accuracy", metrics.Metric("Accuracy", lambda labels, scores: 0.5))
    records = [line("none"), line("smote", 0), line("smote", 1)]
    for record in records[1:]:
        record["chosen"]["test"]["accuracy"] = 0.25
    rows = {row["Method"]: row for row in tables(records)["metrics-test"].cells.to_dict("records")}
    assert rows["No method"]["Accuracy"] == ""
    assert rows["Vanilla SMOTE"]["Accuracy"] == "0.2500 (0.0000)"
    assert rows["No method"]["AUROC"] == f"{VALUE['none']:.4f}"


def test_a_method_that_the_registry_lacks_goes_by_its_name():
    record = line("smote")
    record["config"]["method"] = {"name": "of-tomorrow"}
    (row,) = rows_of(tables([record])["auroc-test"])
    assert row[1] == "of-tomorrow"


def test_a_metric_is_blank_where_one_line_of_the_method_lacks_it():
    records = [line("smote", seed) for seed in range(3)]
    records[1]["chosen"]["test"].pop("ece")
    records[2]["chosen"]["test"]["auprc"] = None  # a value that was not finite
    (row,) = tables(records)["metrics-test"].cells.to_dict("records")
    assert (row["ECE"], row["AUPRC"]) == ("", "")
    assert row["AUROC"] == f"{VALUE['smote'] + 0.001:.4f} (0.0010)"


def test_choices_of_a_method_that_the_registry_lacks_show_its_learning_rate():
    records = [line("smote", 9, role="tuning"), line("smote", rates=[0.001])]
    for record in records:
        record["config"]["suite"], record["config"]["method"] = "of-tomorrow", {"name": "of-tomorrow"}
    assert rows_of(tables(records)["choices"]) == [("binary", "of-tomorrow", "lr 0.001", "1", "0.6390")]


def test_cells_stand_under_their_heading_in_markdown():
    text = tables([line("smote"), line("none")])["metrics-test"].markdown()
    lines = [re.split(r"\s*\|\s*", row) for row in text.splitlines() if row.startswith("|")]
    assert lines[0][1:3] == ["Method", "AUROC"]
    assert len({len(row) for row in lines}) == 1


def test_an_auroc_that_is_not_defined_leaves_blanks_in_every_table(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.report.figures.save", lambda figure, path: None)  # drawn, and not rendered
    records = [line(name, seed) for name in ("none", "smote", "cle-smote") for seed in range(2)]
    for record in records[:2]:  # of a class without test images
        for part in (record["chosen"], record["last"]):
            part["test"] |= {"auroc": None, "auprc": None}
        for point in record["curve"]:
            point["auroc"]["test"] = None
    found = tables(records)
    (row,) = (row for row in found["auroc-test"].cells.to_dict("records") if row["Method"] == "No method")
    assert [row[name] for name in ("AUROC", "Variance", "95 % interval", "Trials")] == ["", "", "", "2"]
    (row,) = (row for row in found["metrics-test"].cells.to_dict("records") if row["Method"] == "No method")
    assert [row[name] for name in ("AUROC", "AUPRC", "AUROC, last epoch", "ECE")] == ["", "", "", "0.1000 (0.0000)"]
    assert [row[0] for row in rows_of(found["comparison-cle-smote-test"])] == ["Vanilla SMOTE"]
    write_report(records, tmp_path)
    assert "nan" not in (tmp_path / "report.md").read_text()


def test_the_interval_of_an_auroc_ends_at_one_in_the_tables():
    records = [line("none", seed, value=value) for seed, value in enumerate((0.9, 0.4, 0.6))]
    ((*_, interval, _, _),) = rows_of(tables(records)["auroc-test"])
    assert interval == "0.0082 ... 1.0000"


def test_rows_of_a_cap_that_hardly_acts_say_so_in_every_table():
    heading = "In effect (caps under 1 %)"
    records = [{**record, "share_capped": record["share_capped"] and 0.001} for record in seventeen()]
    found = tables(records)
    for name in ("auroc-test", "kinds-test", "metrics-test", "conditions-test"):
        marks = {row["Method"]: row[heading] for row in found[name].cells.to_dict("records")}
        assert marks["CLE-SMOTE"] == "SMOTE + triplets"
        assert marks["Vanilla SMOTE"] == ""
    assert "Difference of CLE-SMOTE (in effect SMOTE + triplets) to each" in found["comparison-cle-smote-test"].title
    assert not any(heading in table.cells for table in tables(seventeen()).values())
    others = [line("cle-smote", seed) for seed in range(2)] + [
        {**line("constant-cap", seed), "share_capped": 0.0} for seed in range(2)
    ]
    (row,) = tables(others)["comparison-cle-smote-test"].cells.to_dict("records")
    assert (row["Other method"], row[heading]) == ("Constant cap", "SMOTE")
