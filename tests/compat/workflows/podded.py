"""What only pods can show: secrets, raw containers, memory, timeouts, decks, templates of the cluster's own."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import List

from flytekit import (
    ContainerTask,
    Deck,
    Resources,
    Secret,
    conditional,
    current_context,
    dynamic,
    kwtypes,
    map_task,
    task,
    workflow,
)
from flytekit.types.file import FlyteFile

SHELL = "localhost/python:test"


@task
def double(n: int) -> int:
    return 2 * n


@task
def total(numbers: List[int]) -> int:
    return sum(numbers)


@dynamic
def unrolled(n: int) -> int:
    return total(numbers=[double(n=i) for i in range(n)])


@task
def letter(n: int) -> FlyteFile:
    path = Path(current_context().working_directory) / "letter.txt"
    path.write_text(f"{n} apples")
    return FlyteFile(str(path))


raw = ContainerTask(
    name="raw",
    image=SHELL,
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=int, letter=FlyteFile),
    outputs=kwtypes(area=int, copy=FlyteFile),
    command=[
        "sh",
        "-c",
        """
        set -e
        echo $(( {{.inputs.a}} * $(cat /var/inputs/a) )) > /var/outputs/area
        cat /var/inputs/letter > /var/outputs/copy
        """,
    ],
)

raw_failing = ContainerTask(
    name="raw_failing",
    image=SHELL,
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=int),
    outputs=kwtypes(area=int),
    command=["sh", "-c", "echo 1 > /var/outputs/area; echo it is broken; exit 3"],
)


@task
def read(file: FlyteFile) -> str:
    return Path(file).read_text()


@task(
    secret_requests=[
        Secret(group="tokens", key="Api_Key"),
        Secret(group="tokens", key="user", mount_requirement=Secret.MountType.ENV_VAR, env_var="TOKEN_USER"),
    ]
)
def secretive() -> str:
    secrets = current_context().secrets
    return f"{secrets.get('tokens', 'user')} {secrets.get('tokens', 'Api_Key')} {os.environ['TOKEN_USER']}"


@task(enable_deck=True)
def decked(n: int) -> int:
    Deck("numbers", f"<b>{n} is shown</b>")
    return n


@task(pod_template_name="labelled")
def labelled(n: int) -> str:
    return os.environ["FROM_TEMPLATE"] * n


@workflow
def everything(n: int) -> (int, int, int, str, str, int, str):
    area, copy = raw(a=n, letter=letter(n=n))
    chosen = conditional("size").if_(area > 100).then(double(n=area)).else_().then(unrolled(n=n))
    mapped = map_task(double)(n=[1, 2, 3])
    return area, total(numbers=mapped), chosen, read(file=copy), secretive(), decked(n=n), labelled(n=1)


@workflow
def breaks(n: int) -> int:
    return raw_failing(a=n)


@task
def nap(seconds: int) -> int:
    time.sleep(0 if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) else seconds)
    return int(os.environ["FLYTE_ATTEMPT_NUMBER"])


@workflow
def naps(n: int) -> int:
    return nap(seconds=n)


@task(limits=Resources(mem="300Mi"))
def eat(n: int) -> int:
    return len(b"x" * (n << 20))


@workflow
def eats(n: int) -> int:
    return eat(n=n)


@task(timeout=timedelta(seconds=15))
def loiter(n: int) -> int:
    time.sleep(n)
    return n


@workflow
def loiters(n: int) -> int:
    return loiter(n=n)
