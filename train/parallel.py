"""Several processes that train one model: each reads its own slice of every batch, and their gradients are added up."""

import os
import re
from datetime import timedelta

import torch

from mothello_interp.hints import did_you_mean
from train.options import TrainingStopped


def check_device(name: str, *, here: bool = True) -> None:
    """Raise TrainingStopped for a device that is not there; of another machine (not `here`) the name alone is checked."""
    reason = ""
    if not re.fullmatch(r"(cpu|cuda)(:[0-9]+)?", name):
        hint = did_you_mean(name, ("cpu", "cuda"))
        reason = f"expected cpu, cuda, or one of several such as cuda:1{'; ' + hint if hint else ''}"
    elif here:
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            reason = str(error).splitlines()[0]
    if reason:
        raise TrainingStopped(f"device {name!r} cannot be used here ({reason}); --device cpu always can")


def precision(wanted: str, device: str) -> torch.dtype:
    """The type of the matrix products: "float32", "bfloat16", or by "auto" bfloat16 where it is fast.

    Raises TrainingStopped if the device has no such products.
    """
    if wanted == "auto":
        on_cpu = torch.device(device).type == "cpu"
        fast = torch.cpu._is_avx512_bf16_supported() if on_cpu else torch.cuda.is_bf16_supported()
        wanted = "bfloat16" if fast else "float32"
    dtype = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    try:
        one = torch.ones(1, 1, dtype=dtype, device=device)
        (one @ one).item()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingStopped(
            f"device {device!r} has no products in {wanted} ({reason}), in which this run computes"
        ) from error
    return dtype


class Processes:
    """This process among those that `accelerate launch` or `torchrun` started; alone if they did not.

    Attributes:
        rank: number of this process.
        size: how many there are.
        device: where this one computes.
    """

    def __init__(self, device: str):
        self.rank, self.size, self.device = 0, 1, torch.device(device)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            # the first process measures for minutes while the others wait for it
            state = PartialState(cpu=self.device.type == "cpu", timeout=timedelta(hours=2))
            self.rank, self.size, self.device = state.process_index, state.num_processes, state.device

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and measures."""
        return self.rank == 0

    def part(self, start: int, n: int) -> tuple[int, int]:
        """This process' slice of places `start` to `start + n - 1`, as its start and length."""
        first, last = (n * rank // self.size for rank in (self.rank, self.rank + 1))
        return start + first, last - first

    def add_up(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def add_up_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one exchange."""
        if self.size > 1:
            gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in parameters]
            together = self.add_up(torch.cat([gradient.flatten() for gradient in gradients]))
            for weight, gradient in zip(parameters, together.split([g.numel() for g in gradients]), strict=True):
                weight.grad = gradient.view_as(weight)

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            torch.distributed.barrier()
