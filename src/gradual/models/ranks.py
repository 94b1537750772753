"""Several processes that were launched to do one run together: which one this is, and what they tell each other.

Launches none itself: `torchrun` and `accelerate launch` do, and say so in environment variables. Knows tensors and what
can be pickled; not what is probed or trained. The first process alone writes, locks, selects and decides; the others
ask it what is next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gradual.errors import LaunchError

_LONG = timedelta(days=365)
"""Waits for another process have no limit of their own: the first one may select or draw answers for hours. That one
has ended is noticed at once, by its closed connections."""
_MEETING = timedelta(minutes=30)
"""How long processes wait for each other at the start, and within a step of training."""
_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_OTHER_ENGINES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config",
}
"""What `accelerate launch` may be told to train with, and that would take the model apart behind our back."""
_TORCHRUN = "torchrun --nproc_per_node N -m gradual fit ..."


@dataclass(frozen=True)
class Ranks:
    """This process among those of its launch; by itself it is the only one."""

    number: int = 0
    """From 0."""
    total: int = 1
    group: Any = None
    """Through which they talk, on the CPU."""
    in_step: bool = False
    """Whether the model lies in parts, so that all must pass through it together: nothing is dealt out or divided."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that decides and writes."""
        return self.number == 0

    def share(self, value: Any = None) -> Any:
        """What the first process gives, in every process: those that come before it wait, however long it takes.

        Raises:
            LaunchError: another process has ended.
        """
        if self.total == 1:
            return value
        import torch.distributed as dist

        values = [value]
        with _name_lost_processes():
            dist.broadcast_object_list(values, src=0, group=self.group, device="cpu")
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        """What each process gives, by number, in every process; they wait as in `share`.

        Raises:
            LaunchError: another process has ended.
        """
        if self.total == 1:
            return [value]
        import torch.distributed as dist

        values = [None] * self.total
        with _name_lost_processes():
            dist.all_gather_object(values, value, group=self.group)
        return values

    def wait(self) -> None:
        """Comes back when every process has come here.

        Raises:
            LaunchError: another process has ended.
        """
        self.gather(None)

    def add_up(self, numbers: Any) -> Any:
        """A tensor of one shape in each process, summed over them in place, on the device it lies on.

        Raises:
            LaunchError: another process has ended, or has not come here for half an hour.
        """
        if self.total > 1:
            import torch.distributed as dist

            with _name_lost_processes():
                dist.all_reduce(numbers)
        return numbers

    def refuse_differences(self, mine: Mapping[str, str]) -> None:
        """Refuses processes that were launched to do different things.

        Raises:
            LaunchError: in every process; fields that differ from the first one's are named.
        """
        first, *others = self.gather(dict(mine))
        for number, other in enumerate(others, start=1):
            names = sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))
            if names:
                texts = [f"{name} is {first.get(name)!r} in process 0 and {other.get(name)!r} in it" for name in names]
                raise LaunchError(
                    f"process {number} of the launch would do another run: {'; '.join(texts[:4])} - start all with the "
                    "same command, files and versions"
                )


ALONE = Ranks()


def launched_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Which process of which launch this is, by its environment; they can't talk yet.

    Raises:
        LaunchError: the launcher has started fewer processes than it was asked for, or with what would train wrong.
    """
    for variable, name in _OTHER_ENGINES.items():
        if environment.get(variable, "").lower() in ("true", "1"):
            raise LaunchError(
                f"expected a launch that leaves the model alone, found one with {name} ({variable}) - use {_TORCHRUN}, "
                "with model.fsdp for a model in parts"
            )
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return Ranks(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
    for variable in _MPI_SIZES:
        if int(environment.get(variable) or 1) > 1:
            raise LaunchError(
                f"expected RANK and WORLD_SIZE to say which process this is, found {variable} alone - use {_TORCHRUN}"
            )
    # `accelerate launch` says where processes meet once it is asked for more than one, and with --cpu starts one.
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        raise LaunchError(
            "accelerate launch was asked for several processes and has started one, as it does without GPUs - use "
            f"{_TORCHRUN}"
        )
    return ALONE


def refuse_several(command: str) -> None:
    """Refuses a launch of several processes for what only one does.

    Raises:
        LaunchError: this is one of several.
    """
    if (total := launched_ranks().total) > 1:
        raise LaunchError(
            f"{command}: expected one process, found a launch of {total}, which would get into each other's way - "
            "start it alone; several share the work of `fit`"
        )


def device_of_rank(name: str) -> str:
    """The device that a process of a launch uses where the settings say `name`: each its own GPU.

    Raises:
        LaunchError: the settings name one GPU for all, or there are more processes than GPUs.
    """
    if launched_ranks().total == 1 or not name.startswith("cuda"):
        return name
    import torch

    if ":" in name:
        raise LaunchError(f"model.device: {name} is one GPU, and several processes were launched - use cuda or auto")
    own, num_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if own >= num_gpus:
        raise LaunchError(
            f"expected a GPU for each process, found {num_gpus} for at least {own + 1} - launch {num_gpus}"
        )
    return f"cuda:{own}"


@contextmanager
def launch(device: str, *, in_step: bool = False) -> Iterator[Ranks]:
    """The processes of this launch, met and able to talk while the context lasts; one alone needs nothing.

    Args:
        device: of the settings: `cpu` keeps them off the GPUs.
        in_step: whether the model will lie in parts (`model.fsdp`).

    Raises:
        LaunchError: the launch would train wrong, a process does not come, or there is one alone to be in step.
    """
    ranks = launched_ranks()
    if ranks.total == 1 and in_step:
        raise LaunchError(f"model.fsdp: expected a launch of several processes, found one - use {_TORCHRUN}")
    if ranks.total == 1:
        yield ranks
        return
    import torch
    import torch.distributed as dist

    on_gpus = device != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(device_of_rank("cuda"))
    with _name_lost_processes():
        dist.init_process_group("nccl" if on_gpus else "gloo", timeout=_MEETING)
        group = dist.new_group(backend="gloo", timeout=_LONG)
    try:
        with _whole_passes() if in_step else nullcontext():
            yield Ranks(ranks.number, ranks.total, group, in_step)
    finally:
        dist.destroy_process_group(group)  # closed connections are what the others notice
        if not on_gpus:  # those of GPUs may wait for work that never comes; they end with the process
            dist.destroy_process_group()


@contextmanager
def _whole_passes() -> Iterator[None]:
    """Nothing is read or trained in parts where memory runs out, which one process alone can't do in step."""
    from gradual.models.memory import is_out_of_memory, undivided

    try:
        with undivided():
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise LaunchError(
            f"memory has run out in process {launched_ranks().number}, and under model.fsdp nothing is done in parts - "
            "use more processes, stages[].activation_checkpointing, or less of batch_size, probe.num_exemplar_sets or "
            "probe.num_shots; the same command goes on"
        ) from error


@contextmanager
def _name_lost_processes() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        message = " ".join(str(error).split())[:160]
        raise LaunchError(
            "another process of this launch has ended or does not answer; what it said tells why, and where it said "
            f"nothing, the system may have wanted its memory ({message}) - the same command goes on"
        ) from error


def add_up_gradients(weights: Sequence[Any], numbers: Sequence[float], ranks: Ranks) -> list[float]:
    """Sums the gradients of some weights over all processes, in place, and with them some numbers, which come back.

    One message for all of them; a weight without a gradient counts as 0.
    """
    if ranks.total == 1:
        return list(numbers)
    import torch

    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    flat = torch.cat([weight.grad.reshape(-1).float() for weight in weights])
    total = ranks.add_up(torch.cat([flat, flat.new_tensor(list(numbers))]))
    place = 0
    for weight in weights:
        weight.grad.copy_(total[place : place + weight.numel()].view_as(weight))
        place += weight.numel()
    summed: list[float] = total[place:].tolist()
    return summed


def refuse_unequal_adapters(weights: Sequence[Any], ranks: Ranks, *, tolerance: float = 1e-3) -> None:
    """Refuses to go on with processes that train different models.

    Raises:
        LaunchError: a weight differs from the first process's by more than `tolerance` times its largest one.
    """
    if ranks.total == 1:
        return
    import torch

    mine = torch.cat([weight.detach().reshape(-1).float() for weight in weights]).cpu()
    first = ranks.share(mine if ranks.is_first else None)
    scale = float(first.abs().max()) or 1.0
    apart = max(ranks.gather(float((mine - first).abs().max()) / scale))
    if not apart <= tolerance:
        raise LaunchError(
            f"expected all processes to have trained the same adapter, found weights apart by {apart:.2g} of the "
            "largest - they may run different libraries or kinds of device; the same command goes on at the last epoch"
        )
