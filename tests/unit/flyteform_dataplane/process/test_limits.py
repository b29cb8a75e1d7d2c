"""What is said of requests beyond the machine."""

from __future__ import annotations

import pytest

from flyteform_dataplane.ports import Limits
from flyteform_dataplane.process.limits import Machine, quantity, shortfalls

SMALL = Machine(cpus=2, memory=4 << 30, gpus=0)


def test_what_the_machine_has_is_not_warned_about() -> None:
    """Requests up to the whole machine, or none at all, say nothing."""
    assert shortfalls(Limits(cpu=2, memory=4 << 30), SMALL) == ()
    assert shortfalls(Limits(), SMALL) == ()


def test_each_shortfall_is_a_sentence() -> None:
    """What is asked for and what there is are both named."""
    assert shortfalls(Limits(cpu=16, memory=16 << 30, gpu=1), SMALL) == (
        "it requests 16 CPUs, this machine has 2",
        "it requests 16Gi of memory, this machine has 4Gi",
        "it requests 1 GPU, this machine has none",
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1000, "1000"), (1024, "1Ki"), (512 << 20, "512Mi"), (3 << 29, "1.5Gi"), (1 << 40, "1Ti")],
)
def test_quantities_are_written_as_kubernetes_does(size: int, text: str) -> None:
    """The largest binary unit that fits."""
    assert quantity(size) == text


def test_this_machine_has_something() -> None:
    """The machine that the tests run on is described."""
    machine = Machine.this()
    assert machine.cpus >= 1
    assert machine.memory > 1 << 28
