"""Whatever one warm attempt does to its process, the next one begins with a clean one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.attempts import Bench

# What an attempt can look at: each line is printed before and changed after.
LOOK = """
import gc, locale, os, random, resource, signal, socket, sys, threading, warnings
import flyteform.run as module
print(len(os.listdir('/proc/self/fd')), threading.active_count(), os.umask(0o22), os.environ.get('WHERE'))
print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM), signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(module.value, os.path.join('a', 'b'), len([].__class__.__name__), sys.getrecursionlimit(), len(sys.path))
print(resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0), socket.getdefaulttimeout(), len(warnings.filters))
print('added' in sys.modules, gc.isenabled(), sys.getswitchinterval())
"""
SPOIL = {
    "a patched module": "os.path.join = lambda *_: 'patched'; module.value = 'patched'",
    "threads": "threading.Thread(target=lambda: __import__('time').sleep(60), daemon=True).start()",
    "open files and sockets": "keep = [os.open('/dev/null', 0) for _ in range(50)]; socket.create_server(('', 0))",
    "environment and folder": "os.environ.update(WHERE='/', LANG='xx', PATH=''); os.chdir('/')",
    "mask of files": "os.umask(0o777)",
    "signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.alarm(1); signal.pthread_sigmask(0, [2, 15])",
    "limits and priority": "resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)); os.nice(5)",
    "the interpreter": "sys.setrecursionlimit(99); sys.path.clear(); gc.disable(); sys.setswitchinterval(1)",
    "modules": "sys.modules['added'] = 1; [sys.modules.pop(n) for n in ('json', 'asyncio') if n in sys.modules]",
    "defaults of libraries": "socket.setdefaulttimeout(1); warnings.simplefilter('error')",
    "a crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "an exit in the middle": "os._exit(9)",
    "memory": "keep = bytearray(100 << 20)",
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
async def test_the_next_attempt_sees_nothing_of_it(bench: Bench, spoil: str) -> None:
    """The second attempt looks as the first one did before it spoiled its process."""
    first = await bench.warm(LOOK + spoil).start()
    await first.end()
    second = await bench.warm(LOOK).start()
    assert (await second.end()).exit_code == 0
    assert second.log.splitlines() == first.log.splitlines()[:5]


async def test_every_attempt_has_random_numbers_of_its_own(bench: Bench) -> None:
    """Forks of one template do not share what its generators would give next, nor what is named by them."""
    code = "import random, uuid, os, tempfile; print(random.random(), uuid.uuid4(), uuid.uuid1(), tempfile.mkdtemp())"
    runs = [await bench.warm(code).start() for _ in range(4)]
    words = [word for run in runs for word in ((await run.end()), run.log.split())[1]]
    assert len(words) == len(set(words)) == 16


async def test_what_an_attempt_leaves_behind_is_not_the_next_ones(bench: Bench) -> None:
    """The next attempt has an empty folder, an empty folder for temporary files, and no child."""
    code = """
import os, subprocess, sys, tempfile
print(os.listdir('.'), os.listdir(tempfile.gettempdir()))
open('left', 'w').close()
open(os.path.join(tempfile.gettempdir(), 'left'), 'w').close()
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
"""
    for _ in range(2):
        run = await bench.warm(code).start()
        await run.end()
        assert run.log.strip() == "[] []"
