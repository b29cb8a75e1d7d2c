"""The task types and data types of stock flytekit in one workflow, with what each must have made of its inputs."""

import enum
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import pandas as pd
from flytekit import (
    ContainerTask,
    Deck,
    StructuredDataset,
    current_context,
    kwtypes,
    map_task,
    task,
    workflow,
)
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.extras.sqlite3.task import SQLite3Config, SQLite3Task
from flytekit.extras.tasks.shell import OutputLocation, ShellTask
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from flytekit.types.schema import FlyteSchema

DATABASE = os.environ.get("KINDS_DATABASE", "/nowhere.sqlite")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: List[float]


@task
def invert(n: int) -> float:
    return 1 / n


@task
def present(values: List[Optional[float]]) -> int:
    return sum(value is not None for value in values)


@task
def write(text: str) -> FlyteFile:
    path = Path(current_context().working_directory) / "letter.txt"
    path.write_text(text)
    return FlyteFile(str(path))


@task
def read(file: FlyteFile) -> str:
    return Path(file).read_text()


@task
def scatter(n: int) -> FlyteDirectory:
    folder = Path(tempfile.mkdtemp())
    (folder / "below").mkdir()
    for index in range(n):
        (folder / "below" / f"{index}.txt").write_text(str(index))
    return FlyteDirectory(str(folder))


@task
def gather(folder: FlyteDirectory) -> int:
    return sum(int(path.read_text()) for path in Path(folder.download()).rglob("*.txt"))


@task
def frame(n: int) -> StructuredDataset:
    return StructuredDataset(dataframe=pd.DataFrame({"n": range(n)}))


@task
def total(data: StructuredDataset) -> int:
    return int(data.open(pd.DataFrame).all()["n"].sum())


@task
def plain_frame(n: int) -> pd.DataFrame:
    return pd.DataFrame({"n": [n] * n})


@task
def mirrored(point: Point, color: Color) -> Point:
    return Point(x=-point.x, y=[*point.y, 0.5]) if color is Color.RED else point


@task
def painted(n: int) -> Color:
    return Color.RED if n else Color.BLUE


@task(retries=3)
def resumed(steps: int) -> str:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    done = int(before) if before else 0
    checkpoint.write(str(done + 1).encode())
    if done + 1 < steps:
        raise FlyteRecoverableException(f"step {done + 1} of {steps}")
    return f"{done + 1} steps, attempt {os.environ['FLYTE_ATTEMPT_NUMBER']}"


@task(enable_deck=True)
def decked(n: int) -> int:
    Deck("numbers", f"<b>{n} is shown</b>")
    return n


raw = ContainerTask(
    name="raw",
    image="alpine:3",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=int, letter=FlyteFile, names=List[str]),
    outputs=kwtypes(area=float, copy=FlyteFile, first=str),
    command=[
        "sh",
        "-c",
        """
        set -e
        echo $(( {{.inputs.a}} * $(cat /var/inputs/a) )).5 > /var/outputs/area
        cp /var/inputs/letter /var/outputs/copy
        printf %s "$(cat /var/inputs/names/0)" > /var/outputs/first
        """,
    ],
)

shell = ShellTask(
    name="shell",
    debug=True,
    script="set -e; wc -c < {inputs.file} | tr -d ' \\n' > {outputs.size}",
    inputs=kwtypes(file=FlyteFile),
    output_locs=[OutputLocation(var="size", var_type=FlyteFile, location="size.txt")],
)

query = SQLite3Task(
    name="query",
    query_template="select n from numbers where n > {{.inputs.least}}",
    inputs=kwtypes(least=int),
    output_schema_type=FlyteSchema[kwtypes(n=int)],
    task_config=SQLite3Config(uri=DATABASE),
)


@task
def rows(found: FlyteSchema) -> int:
    return len(found.open(pd.DataFrame).all())


@workflow
def everything(
    numbers: List[int], point: Point, text: str
) -> (int, str, int, int, int, Point, str, int, float, str, str, str, int):
    inverted = map_task(invert, min_success_ratio=0.5)(n=numbers)
    letter = write(text=text)
    area, copy, first = raw(a=3, letter=letter, names=["one", "two"])
    return (
        present(values=inverted),
        read(file=letter),
        gather(folder=scatter(n=5)),
        total(data=frame(n=4)),
        total(data=plain_frame(n=3)),
        mirrored(point=point, color=painted(n=1)),
        resumed(steps=3),
        decked(n=7),
        area,
        read(file=copy),
        first,
        read(file=shell(file=letter)),
        rows(found=query(least=2)),
    )
