"""``python -m benchmarks``: what each command leaves on disk, prints and exits with."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.metrics import METRICS
from benchmarks.training.run import Run, run_id
from tests.support.tiny_runs import command, lines, write_waves


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_waves(tmp_path_factory.mktemp("waves"))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Return a folder with the runs of three methods."""
    folder = tmp_path_factory.mktemp("finished")
    main(command(data, folder, "--methods", "none", "smote", "cle-smote", "--lr", "1e-3", "1e-2"))
    return folder


def test_each_run_leaves_one_line_that_says_all_about_it(finished):
    records = lines(finished)
    assert len({record["id"] for record in records}) == len(records) == (2 + 2) + (2 + 2) + (2 + 2 + 2 + 2)
    assert [record["role"] for record in records].count("tuning") == 2 + 2 + 6
    for record in records:
        assert record["id"] == run_id(record["config"])
        assert record["config"]["experiment"]["counts"] == {
            "well": 54,
            "cough": 1 + 1,
            "fever": 1 + 1,
        }  # 40 : 1 : 1, two at least
        assert [point["step"] for point in record["curve"]] == [5, 10]
        assert set(record["curve"][0]["auroc"]) == {"validation", "test"}
        assert set(record["chosen"]["test"]) == {*METRICS, "conditions"}
        assert record["seconds"]["training"] > 0
        assert record["environment"]["torch"] == torch.__version__.split("+")[0]
    assert str(finished) not in (finished / "runs.jsonl").read_text()


def test_a_rerun_makes_nothing_anew_and_more_trials_only_what_is_missing(finished, data, capsys):
    before = (finished / "runs.jsonl").read_bytes()
    main(command(data, finished, "--methods", "none", "--lr", "1e-3", "1e-2"))
    assert "0 runs to make" in capsys.readouterr().out
    assert (finished / "runs.jsonl").read_bytes() == before


@pytest.mark.slow
def test_the_report_is_made_from_the_lines_alone_and_byte_for_byte_again(finished, tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "runs.jsonl").write_bytes((finished / "runs.jsonl").read_bytes())
        main(["report", str(tmp_path / folder)])
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "second").iterdir())
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    assert {"report.md", "figure-3-correct-convnet.png", "differences-correct-convnet.png"} < set(files)
    text = " ".join((tmp_path / "first" / "report.md").read_text().split())
    values = [record["chosen"]["test"]["auroc"] for record in lines(finished) if record["role"] == "trial"
              and record["config"]["method"]["name"] == "smote"]  # fmt: skip
    assert f"| interclass | Vanilla SMOTE | {np.mean(values):.4f} | {np.var(values, ddof=1):.2e} |" in text
    for name in files:
        if name.endswith(".png"):
            with Image.open(tmp_path / "first" / name) as image:
                pixels = np.asarray(image.convert("L"))
            assert min(pixels.shape) > 250
            assert 0.005 < (pixels < 200).mean() < 0.9
            assert (tmp_path / "first" / name).stat().st_size < 300_000


def test_a_command_that_is_broken_off_ends_in_one_line(data, tmp_path, monkeypatch, capsys):
    def stopped(run, *given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "make", stopped)
    with pytest.raises(SystemExit, match=r"^Interrupted\. Finished runs are kept; the same command continues\.$"):
        main(command(data, tmp_path, "--methods", "none", "--no-tuning"))


def test_a_report_on_nothing_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path)])
    assert "python -m benchmarks run writes one" in capsys.readouterr().err


def test_what_fails_later_ends_with_1_and_one_line(data, tmp_path, monkeypatch, capsys):
    def full(*given, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmarks.sweep.store.Results.add", full)
    with pytest.raises(
        SystemExit, match=r"^python -m benchmarks: error: 2 runs have failed: none-seed0-\w+: OSError: "
    ):
        main(command(data, tmp_path, "--methods", "none", "--no-tuning"))
