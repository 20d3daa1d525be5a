"""Processes of this machine that run chunks, and end when the process that started them does.

Not multiprocessing's: its workers run the caller's script again, and outlive a caller that is killed, as each
holds the pipes of the others open.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from xpusim.errors import WorkerError

#: Without the caller's folder on the path (-P): a file there is not a module that was meant.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from xpusim import _workers; _workers.serve()"
_LOOKS_FOR_PARENT_S = 0.5


class Workers(ThreadPoolExecutor):
    """`count` processes, each fed by a thread of its own. One that dies fails its task, and is replaced."""

    def __init__(self, count: int) -> None:
        super().__init__(count, "xpusim")
        self._of_thread = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(self._ask, (fn, args, kwargs))

    def _ask(self, task: Any) -> Any:
        worker: subprocess.Popen[bytes] | None = getattr(self._of_thread, "worker", None)
        if worker is None or worker.poll() is not None:
            worker = self._of_thread.worker = self._start()
        assert worker.stdin and worker.stdout
        try:
            pickle.dump(task, worker.stdin)
            worker.stdin.flush()
            is_answer, value = pickle.load(worker.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            worker.kill()
            raise WorkerError(f"the process that ran it has ended ({_how(worker.wait())})") from None
        if not is_answer:
            raise value
        return value

    def _start(self) -> subprocess.Popen[bytes]:
        if self._ended:
            raise WorkerError("the workers were ended")
        place = Path(__file__).resolve().parents[1]
        command = [sys.executable, "-P", "-c", _PROGRAM, str(place), str(os.getpid())]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._started.append(worker)
        return worker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = kind is not None
        if self._ended:  # nobody waits for what is being computed
            for worker in self._started:
                worker.kill()
        self.shutdown(cancel_futures=self._ended)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        for worker in self._started:
            assert worker.stdin and worker.stdout
            with contextlib.suppress(OSError):
                worker.stdin.close()  # the sign to end
            worker.wait()
            worker.stdout.close()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def serve() -> None:
    """Answers tasks from standard input until it ends. Runs in a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a task prints is no answer
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for watch in (lambda: _read(tasks), lambda: _look_for_parent(int(sys.argv[2]))):
        threading.Thread(target=watch, daemon=True).start()
    while True:
        function, args, kwargs = tasks.get()
        try:
            answer = (True, function(*args, **kwargs))
        except Exception as error:
            answer = (False, error)
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, and _read ends this process
            answers.write(pickle.dumps(answer))
            answers.flush()


def _read(tasks: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            tasks.put(pickle.load(sys.stdin.buffer))
    finally:
        os._exit(0)  # whatever is being computed: nobody waits for it


def _look_for_parent(parent: int) -> None:
    """The pipe stays open where a fork of the parent holds it: the parent's number says that it is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOKS_FOR_PARENT_S)
    os._exit(0)
