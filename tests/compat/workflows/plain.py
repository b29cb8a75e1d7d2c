"""Tasks in stock flytekit, run for real: a page, a file, a map, a schedule, a failure that can be mended."""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import List, Tuple

from flytekit import CronSchedule, Deck, LaunchPlan, current_context, map_task, task, workflow
from flytekit.types.file import FlyteFile


@task
def double(n: int) -> int:
    return 2 * n


@task(enable_deck=True)
def page(n: int) -> int:
    Deck("numbers", f"<b>number {n}</b>")
    return n


@task
def write(text: str) -> FlyteFile:
    path = Path(current_context().working_directory) / "said.txt"
    path.write_text(text)
    return FlyteFile(str(path))


@task
def total(numbers: List[int]) -> int:
    return sum(numbers)


@task
def greeting(name: str = "you") -> str:
    return f"{os.environ.get('GREETING', 'nothing for')} {name}"


@task
def sleep(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


@task
def read(path: str) -> str:
    return Path(path).read_text()


@task
def iso(at: datetime) -> str:
    return at.isoformat()


@workflow
def plain(n: int = 3, text: str = "hello") -> Tuple[int, int, FlyteFile]:
    return page(n=n), total(numbers=map_task(double)(n=[1, 2, 3])), write(text=text)


@task
def content(file: FlyteFile) -> str:
    return Path(file.download()).read_text()


@task
def folder() -> str:
    return current_context().working_directory


@workflow
def passing(file: FlyteFile) -> Tuple[str, str, str, str]:
    return content(file=file), content(file=write(text="passed")), folder(), folder()


@workflow
def long(seconds: int = 100) -> int:
    return sleep(seconds=seconds)


@workflow
def fragile(path: str, n: int = 1) -> Tuple[int, str]:
    doubled = double(n=n)
    said = read(path=path)
    doubled >> said
    return doubled, said


@workflow
def daily(at: datetime) -> str:
    return iso(at=at)


every_day = LaunchPlan.get_or_create(
    daily, name="every_day", schedule=CronSchedule(schedule="0 3 * * *", kickoff_time_input_arg="at")
)
