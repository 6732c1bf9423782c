"""A training script of the newer kind: the loop calls a task of ``timm.task``. It calls timm as timm's own train.py does."""

import os
from contextlib import suppress
from functools import partial

import torch
from script_arguments import init_distributed
from script_arguments import parse_args as _parse_args
from timm import utils
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import create_model
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.task import ClassificationTask, resume_task_checkpoint


def main():
    args, args_text = _parse_args()
    args.prefetcher = not args.no_prefetcher
    device = init_distributed(args)
    utils.random_seed(args.seed, args.rank)
    model = create_model(args.model, num_classes=args.num_classes, **args.model_kwargs)
    model.set_grad_checkpointing(args.grad_checkpointing)
    config = resolve_data_config(vars(args), model=model)
    if args.channels_last:
        model.to(memory_format=torch.channels_last)
    common = {
        "mean": config["mean"],
        "std": config["std"],
        "input_size": config["input_size"],
        "interpolation": config["interpolation"],
        "batch_size": args.batch_size,
        "num_workers": args.workers,
        "device": device,
        "distributed": args.distributed,
        "use_prefetcher": args.prefetcher,
    }
    dataset_train = create_dataset(args.dataset, root=args.data_dir, split="train", is_training=True)
    dataset_eval = create_dataset(args.dataset, root=args.data_dir, split="validation", is_training=False)
    loader_train = create_loader(dataset_train, is_training=True, no_aug=args.no_aug, **common)
    loader_eval = create_loader(dataset_eval, crop_pct=config["crop_pct"], **common)

    loss_fn = LabelSmoothingCrossEntropy(args.smoothing) if args.smoothing else torch.nn.CrossEntropyLoss()
    task = ClassificationTask(model, loss_fn, device=device, verbose=False)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=args.lr, momentum=0.9)
    start_epoch = 0
    if args.resume:
        start_epoch = resume_task_checkpoint(task, args.resume, optimizer=optimizer, log_info=False)
    if args.model_ema:
        task.setup_ema(decay=0.9)
    if args.torchcompile:
        task.compile(backend=args.torchcompile)
    if args.distributed:
        task.prepare_distributed()
    saver, output_dir = None, None
    if utils.is_primary(args):
        output_dir = utils.get_outdir(args.output, args.experiment)
        with open(os.path.join(output_dir, "args.yaml"), "w") as file:
            file.write(args_text)
        saver = utils.CheckpointSaver(
            task.get_trainable_module(), optimizer, args, checkpoint_dir=output_dir, max_history=2, task=task
        )
    amp_autocast = suppress
    if args.amp:
        amp_autocast = partial(torch.autocast, device_type="cpu", dtype=getattr(torch, args.amp_dtype))
    lr_scheduler = None
    if args.sched_on_updates:
        lr_scheduler, _ = create_scheduler_v2(
            optimizer, num_epochs=args.epochs, step_on_epochs=False, updates_per_epoch=len(loader_train)
        )
    for epoch in range(start_epoch, args.epochs):
        utils.random_seed(
            args.seed, 1000 * epoch + args.rank
        )  # so that a resumed run shuffles as the uninterrupted one does
        if hasattr(dataset_train, "set_epoch"):
            dataset_train.set_epoch(epoch)
        elif args.distributed:
            loader_train.sampler.set_epoch(epoch)
        train_metrics = train_one_epoch(
            epoch,
            task.get_trainable_module(),
            loader_train,
            optimizer,
            args,
            task=task,
            device=device,
            output_dir=output_dir,
            lr_scheduler=lr_scheduler,
            amp_autocast=amp_autocast,
        )
        eval_metrics = validate(task.get_eval_model(), loader_eval, args)
        if saver is not None:
            utils.update_summary(
                epoch,
                train_metrics,
                eval_metrics,
                os.path.join(output_dir, "summary.csv"),
                write_header=epoch == start_epoch,
            )
            saver.save_checkpoint(epoch, metric=eval_metrics["top1"])
    if args.distributed:
        torch.distributed.destroy_process_group()


def train_one_epoch(
    epoch,
    model,
    loader,
    optimizer,
    args,
    task=None,
    device=None,
    output_dir=None,
    lr_scheduler=None,
    amp_autocast=suppress,
):
    model.train()
    losses = utils.AverageMeter()
    for step, (images, target) in enumerate(loader):
        if args.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with amp_autocast():
            loss = task(images, target)["loss"]
        (loss / args.grad_accum_steps).backward()
        losses.update(loss.item(), len(images))
        if (step + 1) % args.grad_accum_steps == 0:
            if args.clip_grad is not None:
                utils.dispatch_clip_grad(task.get_clip_parameters(), value=args.clip_grad)
            optimizer.step()
            optimizer.zero_grad()
            task.update_ema(step=step + 1)
            if lr_scheduler is not None:
                lr_scheduler.step_update(epoch * len(loader) + step + 1)
    mean = torch.tensor(losses.avg)
    return {"loss": (utils.reduce_tensor(mean, args.world_size) if args.distributed else mean).item()}


@torch.inference_mode()
def validate(model, loader, args):
    model.eval()
    losses, top1 = utils.AverageMeter(), utils.AverageMeter()
    for images, target in loader:
        output = model(images)
        losses.update(torch.nn.functional.cross_entropy(output, target).item(), len(images))
        top1.update(utils.accuracy(output, target)[0].item(), len(images))
    return {"loss": losses.avg, "top1": top1.avg}


if __name__ == "__main__":
    main()
