"""Pipelines that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.pipelines import process
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings

Start = Callable[..., Pipeline]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def start(recorder: Recorder) -> Iterator[Start]:
    """`start(dsn, **settings)` begins to export what `recorder` has."""
    started: list[Pipeline] = []

    def begin(dsn: str | None, **settings: object) -> Pipeline:
        pipeline = Pipeline(Settings(app_database_url=dsn, **settings), process(), recorder.collect)  # type: ignore[arg-type]
        started.append(pipeline)
        pipeline.start()
        return pipeline

    yield begin
    for pipeline in started:
        pipeline.stop(5.0)
