"""Learning rate as a function of the iteration (supplement, sections 1 and 2)."""

from pointrend_repro.settings.schedule import OptimizerSettings, ScheduleSettings

_DROP = 0.1


def learning_rate(
    iteration: int, optimizer: OptimizerSettings, schedule: ScheduleSettings
) -> float:
    """Return the rate of an iteration, counted from 0.

    It rises linearly from `warmup_start_lr` to `base_lr` over `warmup_iters` updates, and drops
    tenfold at each of `lr_drop_iters`, or to one of `lr_drop_shares`, or decays with the power
    `poly_power` of what remains. The warm-up multiplies a rate that already decays, as in
    detectron2.
    """
    rate = optimizer.base_lr * _decay(iteration, schedule)
    if iteration >= optimizer.warmup_iters:
        return rate
    progress = iteration / optimizer.warmup_iters
    start = min(optimizer.warmup_start_lr / optimizer.base_lr, 1.0)
    return rate * (start + (1.0 - start) * progress)


def _decay(iteration: int, schedule: ScheduleSettings) -> float:
    if schedule.poly_power is not None:
        return float((1.0 - iteration / schedule.total_iters) ** schedule.poly_power)
    drops = sum(i <= iteration for i in schedule.lr_drop_iters)
    if schedule.lr_drop_shares:
        return (1.0, *schedule.lr_drop_shares)[drops]
    return float(_DROP**drops)
