"""A search as files and as one line of JSON: what was found, every trial, and a page to look at.

The files of a finished search are the same bytes each time, but for the seconds that trials took.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from btcbot.adapters.replay.load import moment
from btcbot.backtest.optimise.outcome import Outcome, WindowOutcome
from btcbot.backtest.optimise.surface import Surface
from btcbot.errors import Refused

if TYPE_CHECKING:
    import polars as pl

    from btcbot.backtest.records import Kind

PAGE: Final = "report.html"
SUMMARY: Final = "summary.json"
TRIALS_CSV: Final = "trials.csv"
TRIALS_PARQUET: Final = "trials.parquet"
NAMES: Final = (PAGE, SUMMARY, TRIALS_CSV, TRIALS_PARQUET)
#: Columns of a trial before and after those of its parameters and metrics.
_FIRST: Final = ("window", "trial", "state", "value")
_LAST: Final = ("same_as", "reason", "wall_s")


def summary(outcome: Outcome, folder: Path | None = None) -> dict[str, Any]:
    """The search in plain values, ready for JSON. Statistics are numbers; parameters are the texts that run again."""
    counts, chosen = outcome.counts, outcome.chosen
    ended = outcome.ended
    return {
        "study": outcome.study,
        "storage": outcome.storage,
        "how": ended.how,
        "strategy": outcome.strategy,
        "symbols": list(outcome.symbols),
        "data": outcome.data,
        "windows_laid": outcome.windows_text,
        "objective": outcome.objective,
        "sampler": outcome.sampler,
        "pruner": outcome.pruner,
        "seed": outcome.seed,
        "ranges": {one.name: str(one) for one in outcome.ranges},
        "fixed": dict(outcome.fixed),
        "trials": sum(counts.get(state, 0) for state in ("complete", "pruned", "failed")),
        **{state: counts.get(state, 0) for state in ("complete", "pruned", "failed", "lost")},
        "repeated": outcome.repeated,
        "workers": outcome.workers,
        "ran": ended.ran,
        "wall_s": round(ended.wall_s, 3),
        "trials_per_s": round(ended.ran / ended.wall_s, 3) if ended.wall_s > 0 else None,
        "best": None if chosen is None or chosen.best is None else _best(chosen, outcome),
        "in_sample": outcome.mean_of(outcome.objective, is_test=False),
        "out_of_sample": outcome.mean_of(outcome.objective, is_test=True),
        "out_of_sample_return": outcome.test_return,
        "windows": [_window(number, each, outcome) for number, each in enumerate(outcome.windows, 1)],
        "importance": dict(outcome.importances),
        "importance_by": "PED-ANOVA: how the best tenth of the trials is distributed, against all of them",
        "surface": None if chosen is None or chosen.surface is None else _surface(chosen.surface),
        "files": [] if folder is None else [str(folder / name) for name in NAMES],
    }


def _best(chosen: WindowOutcome, outcome: Outcome) -> dict[str, Any]:
    assert chosen.best is not None, "a chosen window has one"
    return {
        "window": list(outcome.windows).index(chosen) + 1,
        "trial": chosen.best.number,
        "value": chosen.best.value,
        "parameters": {**outcome.fixed, **chosen.best.parameters},
    }


def _window(number: int, each: WindowOutcome, outcome: Outcome) -> dict[str, Any]:
    best, window = each.best, each.window
    objective = outcome.objective
    return {
        "window": number,
        "train": [moment(window.train_start_ms), moment(window.train_end_ms)],
        "test": [moment(window.test_start_ms), moment(window.test_end_ms)],
        "trials": len([row for row in each.rows if row.state in ("complete", "pruned", "failed")]),
        "trial": None if best is None else best.number,
        "parameters": {} if best is None else dict(best.parameters),
        "in_sample": None if best is None else best.metrics.get(objective),
        "out_of_sample": each.test.get(objective),
        "kept": each.kept(objective),
        "in_sample_metrics": {} if best is None else dict(best.metrics),
        "out_of_sample_metrics": dict(each.test),
        "out_of_sample_failed": each.test_reason or None,
    }


def _surface(surface: Surface) -> dict[str, Any]:
    return {
        "x": surface.x.name,
        "y": surface.y.name or None,
        "x_labels": list(surface.x.labels),
        "y_labels": list(surface.y.labels),
        "cells": [
            {"x": x, "y": y, "trials": cell.trials, "mean": cell.mean, "best": cell.best}
            for (x, y), cell in sorted(surface.cells.items())
        ],
    }


# -- files -----------------------------------------------------------------------------------------------------------


def refuse_unusable(folder: Path, *, force: bool) -> None:
    """Say before a long search that its results could not be kept there."""
    try:
        if folder.exists() and not folder.is_dir():
            raise Refused(f"--out {folder}: this is a file; name a folder")
        there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise Refused(f"--out {folder}: no permission to write in {there}")
        held = [name for name in NAMES if (folder / name).exists()]
    except OSError as error:
        raise Refused(f"--out {folder}: cannot be used ({error.strerror})") from None
    if held and not force:
        raise Refused(f"--out {folder}: it holds {held[0]} already; name another folder, or replace it with --force")


def write_all(outcome: Outcome, folder: Path) -> None:
    """Each file is whole or not there. Refused when the disk will not take them."""
    from btcbot.backtest.optimise.page import render

    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts = summary(outcome, folder)
        _put(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
        _put(folder / TRIALS_CSV, _csv(outcome).encode())
        buffer = io.BytesIO()
        frame(outcome).write_parquet(buffer)
        _put(folder / TRIALS_PARQUET, buffer.getvalue())
        _put(folder / PAGE, render(outcome).encode())
    except OSError as error:
        raise Refused(f"--out {folder}: it cannot be written ({error.strerror})") from None


def _put(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def metric_names(outcome: Outcome) -> list[str]:
    """Every metric that some trial has, in the order of the first that has it."""
    names: dict[str, None] = {}
    for each in outcome.windows:
        for row in each.rows:
            names.update(dict.fromkeys(row.metrics))
    return list(names)


def rows(outcome: Outcome) -> Iterator[Mapping[str, Any]]:
    """Every trial, lost ones too; parameters as texts. A parameter's column begins with `param_`."""
    metrics = metric_names(outcome)
    for number, each in enumerate(outcome.windows, 1):
        for row in each.rows:
            yield {
                "window": number,
                "trial": row.number,
                "state": row.state,
                "value": row.value,
                **{f"param_{one.name}": row.parameters.get(one.name) for one in outcome.ranges},
                **{name: row.metrics.get(name) for name in metrics},
                "same_as": row.same_as,
                "reason": row.reason or None,
                "wall_s": row.wall_s,
            }


def _columns(outcome: Outcome) -> list[str]:
    parameters = [f"param_{one.name}" for one in outcome.ranges]
    return [*_FIRST, *parameters, *metric_names(outcome), *_LAST]


def _csv(outcome: Outcome) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(outcome), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(outcome))
    return text.getvalue()


def frame(outcome: Outcome) -> pl.DataFrame:
    """Every trial as typed columns: whole numbers as integers, other numbers as exact decimals, words as text."""
    import polars as pl

    kinds: dict[str, Kind] = {"whole": pl.Int64, "number": pl.Decimal(38, 18), "word": pl.String}
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(_columns(outcome), pl.Float64)
    schema |= dict.fromkeys(("window", "trial", "same_as"), pl.Int64) | dict.fromkeys(("state", "reason"), pl.String)
    parameters = {f"param_{one.name}": kinds[one.kind] for one in outcome.ranges}
    texts = pl.DataFrame(list(rows(outcome)), schema=schema | dict.fromkeys(parameters, pl.String), orient="row")
    return texts.with_columns(pl.col(name).cast(kind) for name, kind in parameters.items())
