"""Command line of the two scripts beside this file: some of the flags of timm's train.py, under its names."""

import argparse
import os

import torch
import yaml
from timm import utils


def parse_args() -> tuple[argparse.Namespace, str]:
    config_parser = argparse.ArgumentParser(add_help=False)
    config_parser.add_argument("-c", "--config")
    parser = argparse.ArgumentParser()
    for name, default in {
        "batch-size": 8,
        "epochs": 1,
        "grad-accum-steps": 1,
        "img-size": 32,
        "num-classes": 3,
        "seed": 42,
        "val-interval": 1,
        "workers": 0,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in {"smoothing": 0.1, "mixup": 0.0, "clip-grad": None, "lr": 0.01}.items():
        parser.add_argument(f"--{name}", type=float, default=default)
    for name in (
        "amp",
        "bce-loss",
        "channels-last",
        "grad-checkpointing",
        "model-ema",
        "no-aug",
        "no-prefetcher",
        "sched-on-updates",
    ):
        parser.add_argument(f"--{name}", action="store_true")
    for name, default in {
        "amp-dtype": "bfloat16",
        "data-dir": None,
        "dataset": "",
        "device": "cpu",
        "experiment": "run",
        "model": "test_resnet",
        "output": None,
        "resume": "",
        "torchcompile": None,
    }.items():
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--model-kwargs", nargs="*", default={}, action=utils.ParseKwargs)
    config, rest = config_parser.parse_known_args()
    if config.config:
        with open(config.config) as file:
            parser.set_defaults(**yaml.safe_load(file))
    args = parser.parse_args(rest)
    return args, yaml.safe_dump(vars(args), default_flow_style=False)


def init_distributed(args: argparse.Namespace) -> torch.device:
    """As timm does, but that a launch of one process makes a group too: it shuffles as one of several processes."""
    device = utils.init_distributed_device(args)
    if os.environ.get("WORLD_SIZE") == "1":
        torch.distributed.init_process_group("gloo")
        args.distributed = True
    return device
