"""Batch normalisation across processes on CPUs; torch's SyncBatchNorm runs only on GPUs."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable


def move_sync_batch_norm_to_cpu(model: nn.Module) -> None:
    """Replace a model's SyncBN by one for CPU processes, with the same weights and state."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.SyncBatchNorm):
                moved = CpuSyncBatchNorm(child.num_features, child.eps, child.momentum)
                moved.weight, moved.bias = child.weight, child.bias
                for buffer, value in child.named_buffers(recurse=False):
                    setattr(moved, buffer, value)
                setattr(parent, name, moved.train(child.training))


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """SyncBN in plain tensor operations, for training on CPUs by several processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by each channel's statistics over the batches of all processes."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(input)
        x = input.float().transpose(0, 1)  # (C, N, H, W)
        values = x.flatten(1)
        count = _sum_over_processes(values.new_tensor([values.shape[1]]))
        mean = _sum_over_processes(values.sum(1)) / count
        centred = values - mean[:, None]
        variance = _sum_over_processes(centred.square().sum(1)) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * torch.rsqrt(variance + self.eps)[:, None]
        scaled = normal * self.weight[:, None] + self.bias[:, None]
        # In the input's memory layout, or dropout would fill its mask in another order.
        last = input.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if last else torch.contiguous_format
        return scaled.view_as(x).transpose(0, 1).to(input.dtype).contiguous(memory_format=order)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


class _Sum(torch.autograd.Function):
    """A sum over processes. Each of them uses it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total
