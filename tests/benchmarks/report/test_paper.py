"""The numbers that the paper prints."""

from benchmarks.report.paper import printed


def test_numbers_are_those_of_the_papers_tables_3_and_4():
    assert printed("cifar10-ablation", "binary", "cle-smote") == "0.876 (2.20e-04)"
    assert printed("cifar10-ablation", "3-class", "balanced") == "0.833 (1.24e-02)"


def test_what_the_paper_does_not_print_is_blank():
    assert printed("cifar10-ablation", "binary", "focal") == ""
    assert printed("cifar10-17", "interclass", "smote") == ""
