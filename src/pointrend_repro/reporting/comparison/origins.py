"""What two results folders were made with: commit, code, device, versions, data and settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pointrend_repro.reporting.comparison.reading import Side
from pointrend_repro.reporting.formats import commit, device
from pointrend_repro.reporting.settings_diff import text
from pointrend_repro.reporting.states import ALTERED

_SAMPLE = 4  # of settings, in one line


@dataclass(frozen=True)
class OriginFact:
    """One thing that the steps of both sides ran with; each side may have several values of it."""

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether it is the same on both sides."""
        return self.a == self.b


def origin_facts(a: Side, b: Side) -> list[OriginFact]:
    """Return what both were made with: from metric files, or metrics.csv if a side has no others.

    Settings are compared training by training, and prediction by prediction; a fact stands for
    all of them that differ alike, or one for all if none do.
    """
    with_files = bool(a.results and b.results)  # or one side would differ by what it does not tell
    first, second = (_facts(side, with_files=with_files) for side in (a, b))
    names = [*first, *(name for name in second if name not in first)]
    facts = [OriginFact(name, first.get(name, ()), second.get(name, ())) for name in names]
    altered = OriginFact("numbers not as recorded", *(_altered(side) for side in (a, b)))
    facts += [altered] if altered.a or altered.b else []
    return [*facts, *_settings_facts(a, b)]


def _facts(side: Side, *, with_files: bool) -> dict[str, tuple[str, ...]]:
    records = [step for result in side.results.values() for step in result.origin.steps.values()]
    if not with_files:
        columns = {"commit": "git_commit", "code": "code_digest", "device": "device"}
        columns |= {"torch": "torch", "settings digests": "settings_digest"}
        told = {name: list(side.metrics[key].dropna().unique()) for name, key in columns.items()}
        told["device"] = [device(each) for each in told["device"]]
        return {name: tuple(sorted(set(values))) for name, values in told.items()}
    found: dict[str, set[str]] = {"commit": set(), "code": set(), "device": set()}
    for record in records:
        found["commit"].add(commit(record.git_commit))
        found["code"].add(record.code_digest)
        found["device"].add(device(record.device))
        for library, version in record.versions.items():
            found.setdefault(library, set()).add(version)
        for read in record.data_read:
            found.setdefault(f"data: {read.part}", set()).add(read.fingerprint)
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _altered(side: Side) -> tuple[str, ...]:
    """Which files hold numbers that are no longer as they were made, and why."""
    found = side.metrics[side.metrics["state"].isin(list(ALTERED))]
    pairs = sorted(set(zip(found["file"], found["state"], strict=True)))
    lines = [f"{file}: {ALTERED[state]}" for file, state in pairs]
    more = len(lines) - _SAMPLE
    return (*lines[:_SAMPLE], f"and {more} more") if more > 0 else tuple(lines)


def _settings_facts(a: Side, b: Side) -> Iterator[OriginFact]:
    first, second = _settings(a), _settings(b)
    shared = [place for place in first if place in second]
    differing = [place for place in shared if first[place] != second[place]]
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for place in differing:
        left, right = (dict(_flat(s[place], "")) for s in (first, second))
        keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
        places.setdefault((_sample(left, keys), _sample(right, keys)), []).append(place)
    for (a_values, b_values), (place, *others) in places.items():
        more = f" and {len(others)} more" if others else ""
        yield OriginFact(f"settings of {place}{more}", a_values, b_values)
    if shared and not differing:
        same = (f"of {len(shared)} trainings and predictions equal",)
        yield OriginFact("settings", same, same)


def _settings(side: Side) -> dict[str, dict[str, Any]]:
    """Settings and seed of each training and prediction, by its folder."""
    found = {}
    for result in side.results.values():
        origin = result.origin
        if origin.train:
            place = f"{origin.dataset}/{origin.variant}/trial{origin.trial}"
            found[place] = origin.train.settings | {"seed": origin.train.seed}
        if origin.predict:
            found[origin.path] = origin.predict.settings
    return found


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _sample(settings: Mapping[str, Any], keys: list[str]) -> tuple[str, ...]:
    lines = [
        f"{key}: {text(settings[key])}" if key in settings else f"{key}: not there"
        for key in keys[:_SAMPLE]
    ]
    more = len(keys) - _SAMPLE
    return (*lines, f"and {more} more") if more > 0 else tuple(lines)
