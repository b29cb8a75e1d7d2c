"""The start of a template process: it imports once what its attempts need, then serves its parent."""

from __future__ import annotations

import gc
import os
import signal
import socket

from .attempt import become
from .entries import EXEC, preload, rehearse
from .serving import Template
from .system import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl

_REHEARSALS = 12  # the interpreter adapts to what it has run a few times


def main(entry: str, descriptor: int) -> None:
    """Preload for `entry` and serve the socket that was inherited as `descriptor`."""
    os.set_inheritable(descriptor, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # the end of the socket is not seen while an import hangs
    reason = preload(entry)
    template = Template(socket.socket(fileno=descriptor))
    template.send("ready", warm=entry != EXEC and not reason, reason=reason)
    for _ in range(_REHEARSALS):
        rehearse(entry)
    gc.collect()
    gc.disable()
    gc.freeze()  # what is never touched again stays shared with every child
    parent = os.getpid()
    birth = template.serve(spares=entry == EXEC or not reason)
    if birth is not None:
        become(template, birth, parent, entry)
