"""``python -m benchmarks list``."""

from benchmarks.__main__ import main
from tests.support.tiny_runs import write_waves


def test_the_list_shows_suites_experiments_and_methods(tmp_path, capsys):
    main(["list"])
    printed = capsys.readouterr().out
    for text in ("cifar10-ablation", "chexpert", "kermany", "medmnist", "--data-dir", "cle-smote", "LDAM-DRW"):
        assert text in printed
    data = write_waves(tmp_path)
    main(["list", "folder", "--data-dir", str(data), "--normal", "well"])
    shown = capsys.readouterr().out
    assert "intraclass-single-cough well 28, cough 27, fever 2 (too few images for 20 : 1" in " ".join(shown.split())
    main(["list", "folder", "--data-dir", str(data), "--normal", "well", "--label-noise", "0.5"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "interclass well 52, cough 2 (1 of them wrong), fever 2 (1 of them wrong)" in shown
    assert "fever 2 (1 of them wrong) (too few images for 20 : 1" in shown
