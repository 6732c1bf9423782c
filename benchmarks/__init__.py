"""Experiments on real images: ``python -m benchmarks demo``.

Four parts that know little of each other: the data of an experiment (``datasets``), what is done against its imbalance
(``methods``), one training of one network (``run``), and what is shown of many (``report``). Between the last two lie
files only (``results``), so a report can be made again without training.
"""
