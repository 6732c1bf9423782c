"""The command, its table, and wrong options."""

import pytest

import benchmarks.suspects.command as command
from benchmarks.__main__ import main
from benchmarks.suspects.command import as_page
from benchmarks.sweep.store import read_records


def record(seed, head, pair="cat", share=0.1):
    about = {"network": "frozen", "pair": pair, "share": share, "seed": seed}
    return {**about, "wrong": 10, "images": 100, "precision": {"loss": 0.3, "head": head}}


def test_the_table_has_means_and_intervals_over_seeds_and_chance():
    page = as_page([record(0, 0.5), record(1, 0.7), record(0, 0.9, share=0.3), record(1, 0.9, share=0.3)])
    lines = {line.split("|")[1].strip(): line.split("|") for line in page.splitlines() if line.startswith("|")}
    assert "## frozen, 2 seeds" in page
    assert [cell.strip() for cell in lines["head"][2:4]] == ["0.75", "0.60 (0.00 to 1.00)"]
    assert lines["head"][4].strip() == "0.90 (0.90 to 0.90)"
    assert lines["chance"][3].strip() == "0.10 (0.10 to 0.10)"
    assert list(lines)[2:] == ["head", "loss", "chance"]  # the best first


def test_finished_cells_are_not_made_again(tmp_path, monkeypatch, capsys):
    class Run:
        def __init__(self, *about):
            self.id = "-".join(map(str, about))

    made = []
    monkeypatch.setattr(command, "make_run", lambda pair, network, folder, share, seed: Run(pair, share, seed))

    def make_record(run):
        made.append(run.id)
        return {"id": run.id, "wrong": 1, "images": 2, "precision": {"loss": 0.5}}

    monkeypatch.setattr(command, "make_record", make_record)
    options = ["suspects", "--cifar10", "x", "--networks", "convnet", "--pairs", "cat", "--out", str(tmp_path)]
    main([*options, "--seeds", "0"])
    main([*options, "--seeds", "0", "1"])
    assert made == ["cat-0.1-0", "cat-0.3-0", "cat-0.1-1", "cat-0.3-1"]
    assert len(read_records(tmp_path)) == 4
    assert "## convnet, 2 seeds" in (tmp_path / "suspects.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "horse"], "--pairs horse: there are automobile, cat, virus."),
        (["--pairs", "virus", "--cifar10", "x"], "--pairs virus needs --x-rays DIR."),
        (["--cifar10", "x", "--x-rays", "x"], "--networks frozen: there are convnet, and with --weights frozen."),
    ],
)
def test_wrong_options_end_with_a_line(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["suspects", *options, "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
