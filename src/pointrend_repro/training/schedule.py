"""Learning rate as a function of the iteration (supplement, section 1)."""

from pointrend_repro.settings import OptimizerSettings, ScheduleSettings

_DROP = 0.1


def learning_rate(
    iteration: int, optimizer: OptimizerSettings, schedule: ScheduleSettings
) -> float:
    """Return the rate of an iteration, counted from 0.

    It rises linearly from `warmup_start_lr` to `base_lr` over `warmup_iters` updates, and falls
    tenfold at each of `lr_drop_iters`.
    """
    rate = optimizer.base_lr * _DROP ** sum(i <= iteration for i in schedule.lr_drop_iters)
    if iteration >= optimizer.warmup_iters:
        return rate
    progress = iteration / optimizer.warmup_iters
    start = min(optimizer.warmup_start_lr / optimizer.base_lr, 1.0)
    return rate * (start + (1.0 - start) * progress)
