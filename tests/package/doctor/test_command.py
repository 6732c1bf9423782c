import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from clesmote_losses.doctor.command import main
from tests.support.class_folders import picture, state_of, write_pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "train", {"common": 14, "rare": 7})
    write_pictures(tmp_path / "val", {"common": 3, "rare": 3}, first_seed=100)
    return tmp_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code)  # type: ignore[arg-type]


def test_the_exit_code_is_0_of_a_clean_folder_and_1_with_an_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--strict") == 0
    assert "Nothing stands in the way" in capsys.readouterr().out
    picture(0).save(data / "val" / "common" / "copy.png")
    assert run(data) == 1
    assert "train/common/0.png = val/common/copy.png" in capsys.readouterr().out


def test_a_warning_is_an_error_of_the_exit_code_only_if_strict(data: Path) -> None:
    picture(14).save(data / "train" / "rare" / "copy.png")
    assert (run(data), run(data, "--strict")) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["{data}/train/rare"], "holds no class folders"),
        (["{data}", "--model", "resnet81"], "timm has no model 'resnet81'. Near it: resnet"),
        (["{data}", "--k-neighbors", "0"], "must ask for at least 1 neighbour"),
        (["{data}", "--batch-size", "0"], "batch_size 1 or more"),
        (["{data}", "--groups", "{data}/nowhere.csv"], "nowhere.csv cannot be read"),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    data: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(argument.format(data=data) for argument in arguments)) == 2
    assert message in capsys.readouterr().err


def test_json_holds_all_the_evidence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        (data / "train" / "common" / f"{number}.png").write_bytes(b"")
    assert run(data, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    (unreadable,) = (finding for finding in report["findings"] if finding["severity"] == "error")
    assert [line.split(":")[0] for line in unreadable["evidence"]] == [
        f"train/common/{number}.png" for number in range(6)
    ]
    assert report["counts"]["rare"]["training after SMOTE"] == 14
    assert report["number_of"]["error"] == 1


def test_a_folder_of_classes_alone_is_read_with_the_validation_that_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data / "train", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["counts"]["rare"]) == {"training", "training after SMOTE"}
    assert run(data / "train", "--validation", data / "val", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["rare"]["validation"] == 3


def test_another_part_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(data / "test", {"common": 1, "rare": 1}, first_seed=200)
    run(data)
    assert f"--validation {data / 'test'}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow  # Python and torch start
def test_the_program_runs_and_changes_nothing(data: Path) -> None:
    before = state_of(data)
    code = "from clesmote_losses.doctor.command import main; main()"
    done = subprocess.run([sys.executable, "-c", code, data], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert state_of(data) == before


def test_without_imagehash_the_message_says_what_to_install(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    assert run(data) == 2
    assert 'pip install "clesmote-losses[report]"' in capsys.readouterr().err


def test_the_help_says_which_copies_are_not_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "mirrored, cropped or rotated are not looked for" in " ".join(capsys.readouterr().out.split())


def test_another_mode_in_validation_is_a_warning(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "val").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert (run(data), run(data, "--strict")) == (0, 1)
    assert "validation: L" in capsys.readouterr().out
