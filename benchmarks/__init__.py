"""Experiments on real images: ``python -m benchmarks demo|list|run|report|micro``.

The data of an experiment are in ``data``, what is done against its imbalance in ``methods``, one training of one network in
``training``, many of them in ``sweep``, and what is shown of them in ``report``. Between the last two lie files only, so a
report can be made again without training. ``micro`` measures time and memory of the package's parts.
"""
