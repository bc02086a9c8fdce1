"""The training loop: SGD on the sum of a model's losses, logged, saved, and resumable.

A batch is computed in micro-batches of `optimizer.images_per_step` images, by one rank or several.
Losses are averaged over a micro-batch, those of a batch over its micro-batches, and gradients are
accumulated before the update. No micro-batch depends on the others, and each seeds what its model
draws, so that a batch has the same losses and gradients, up to rounding, on any number of ranks,
and takes the memory of one micro-batch. Batch normalisation is the exception: its statistics are of
the whole batch (SyncBN), so each rank takes all of its micro-batches in one pass.
"""

import contextlib
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track
from torch import nn

from pointrend_repro.base.errors import StoppedBySignal
from pointrend_repro.data.batches import Batch, MicroBatches, training_batches
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.declarations.family import family_of
from pointrend_repro.predictions.proposals import Proposals
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.training.digest import checkpoint_digests
from pointrend_repro.training.early import EarlyLoss
from pointrend_repro.training.given_boxes import WithProposals
from pointrend_repro.training.initial import initial_model, initial_state
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.parts import Parts
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.samples import Samples, is_due
from pointrend_repro.training.saving import Saving, restore
from pointrend_repro.training.schedule import learning_rate
from pointrend_repro.training.sharing import divide
from pointrend_repro.training.signals import StopSignals
from pointrend_repro.training.starting import note_start, start_model
from pointrend_repro.training.trackers import Trackers
from pointrend_repro.training.update import State, update

# What the processes send each other where a checkpoint is due; signals are above it.
_SAVE = 1


@dataclass
class _Run:
    """A running training."""

    settings: AnyTrainingSettings
    folder: Path
    processes: Processes
    micro_batches: MicroBatches
    state: State
    saving: Saving


def train(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    *,
    seed: int,
    folder: Path,
    device: str,
    stop: StopSignals | None = None,
    start_from: Path | None = None,
    proposals: Proposals | None = None,
    samples: Samples | None = None,
    parts: Parts | None = None,
) -> nn.Module:
    """Train a model, resuming from the newest checkpoint in `folder` if there is one.

    On the CPU an interrupted and resumed training ends with the weights of an uninterrupted one:
    the same bits given as many threads and processes, otherwise the same up to rounding.

    Args:
        folder: gets `checkpoints/`, `log.jsonl`, `samples/` and `tensorboard/`, from process 0.
        device: `cpu`, or `cuda` for one GPU per process.
        stop: after a signal the current iteration is the last.
        start_from: the model of the training that `settings.start_from` names, if it names one.
            Without it a training can still continue; from another one it begins anew.
        proposals: the boxes that `settings.proposals_from` names, if it names any.
        samples: in process 0: draws them, as often as the settings say.
        parts: in process 0: makes the record that checkpoints get.

    Raises:
        UserError: nothing to train on, unreadable images, a loss that is not finite, a full GPU, a
            killed loader, or settings that do not allow this number of processes.
        StoppedBySignal: in process 0; the training is saved.
        SystemExit: in the other processes, where process 0 has one of the errors above.
    """
    processes = Processes(device)
    with processes.reporting_ends(), contextlib.ExitStack() as stack:
        run = _start(settings, dataset, seed, folder, processes, start_from, proposals, parts)
        with processes.sharing_errors():
            log = _log_of_main(run, stack)
        batches = stack.enter_context(contextlib.closing(_batches(run, dataset, seed, proposals)))
        clock, early = time.monotonic(), EarlyLoss()
        iterations = range(run.state.iteration, settings.schedule.total_iters)
        for iteration in track(iterations, "training", disable=not processes.is_main):
            with processes.sharing_errors():
                batch = next(batches)
            _save_or_stop(stop, run)
            done = _update(run, batch)
            early.see(iteration, done["loss"])
            _follow(run, log, samples, done | {"elapsed_s": time.monotonic() - clock})
    return run.state.model


def _follow(
    run: _Run, log: TrainingLog | None, samples: Samples | None, values: dict[str, float]
) -> None:
    """Log what is due after an update, draw sample predictions, and save."""
    often, done = run.settings.run, run.state.iteration
    if _is_due(run, often.log_every_iters):
        with run.processes.sharing_errors():
            if log is not None:  # in process 0 alone
                log.write(done - 1, values)
    if is_due(done, run.settings.schedule.total_iters, often.samples):
        # Process 0 draws alone; the others wait to exchange errors, over gloo, for up to half an
        # hour.
        with run.processes.sharing_errors():
            picture = None if samples is None else samples.draw(run.state.model)
            if log is not None and picture is not None:
                log.show(done, picture)
    if _is_due(run, often.checkpoint_every_iters):
        _save(run)


def _start(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    seed: int,
    folder: Path,
    processes: Processes,
    start_from: Path | None,
    proposals: Proposals | None,
    parts: Parts | None,
) -> _Run:
    saving = Saving(folder / "checkpoints", {}, parts)
    with processes.sharing_errors():
        if processes.is_main:  # it alone reads and writes checkpoints
            saving.digests |= checkpoint_digests(
                settings, dataset, seed, start_from=start_from, proposals=proposals
            )
        micro_batches = divide(settings.optimizer, processes)
        made = initial_model(settings, dataset, seed, processes, micro_batches)
    state = initial_state(settings, *made, processes)
    with processes.sharing_errors():
        found = None
        if processes.is_main:
            found = saving.load(settings.schedule.total_iters)
    # Sent by process 0: the others may run on machines that do not share its disk.
    found = processes.from_main(found)
    if found is not None:
        restore(state, found)
        saving.note(state.iteration)
    elif settings.start_from is not None:
        classes = [category.name for category in dataset.categories]
        with processes.sharing_errors():
            if processes.is_main:
                note_start(folder, settings.start_from, start_from, classes)
        with processes.sharing_errors():
            here = folder if processes.is_main else None
            start_model(state.model, settings.start_from, start_from, classes, here)
    return _Run(settings, folder, processes, micro_batches, state, saving)


def _log_of_main(run: _Run, stack: contextlib.ExitStack) -> TrainingLog | None:
    if not run.processes.is_main:
        return None
    settings = run.settings
    trackers = Trackers(
        settings.run.trackers, run.folder, run.saving.digests["training_digest"], identity(settings)
    )
    return stack.enter_context(TrainingLog(run.folder, run.state.iteration, trackers))


def _batches(
    run: _Run, dataset: AnyDataset, seed: int, proposals: Proposals | None
) -> Generator[Batch]:
    family = family_of(run.settings)
    records = family.training_records(dataset, run.settings)
    make_example = family.example_maker(run.settings, records)
    return training_batches(
        records,
        make_example if proposals is None else WithProposals(make_example, proposals),
        micro_batches=run.micro_batches,
        seed=seed,
        iterations=range(run.state.iteration, run.settings.schedule.total_iters),
        workers=run.settings.run.loader_workers,
        by_shape=family.by_shape,
    )


def _update(run: _Run, batch: Batch) -> dict[str, float]:
    """Make one update, and return what the log says of it."""
    _start_iteration(run)
    rate = _set_learning_rate(run)
    losses = update(run.state, batch, run.processes, run.settings.optimizer)
    run.state.iteration += 1
    return losses | {"lr": rate}


def _start_iteration(run: _Run) -> None:
    """Let the model choose what this iteration trains, if its training has stages."""
    start = getattr(run.state.model, "start_iteration", None)
    if start is not None:
        start(run.state.iteration, run.settings.schedule.total_iters)


def _set_learning_rate(run: _Run) -> float:
    rate = learning_rate(run.state.iteration, run.settings.optimizer, run.settings.schedule)
    for group in run.state.optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    return rate


def _is_due(run: _Run, every: int) -> bool:
    done = run.state.iteration
    return done % every == 0 or done == run.settings.schedule.total_iters


def _save_or_stop(stop: StopSignals | None, run: _Run) -> None:
    """Save if the newest checkpoint is old; end here if a process has received a signal.

    The processes agree by one number, as each exchange makes them wait.
    """
    asked = stop.received + _SAVE if stop and stop.received else 0
    is_due = run.processes.is_main and run.saving.is_old()
    number = run.processes.largest(asked or (_SAVE if is_due else 0))
    if number and run.state.iteration > run.saving.newest:
        _save(run)
    if number > _SAVE:
        name = signal.Signals(number - _SAVE).name
        run.processes.stop(StoppedBySignal(name, run.state.iteration))


def _save(run: _Run) -> None:
    with run.processes.sharing_errors():
        if run.processes.is_main:
            run.saving.save(run.state)
    run.saving.note(run.state.iteration)
