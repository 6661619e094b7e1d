"""How Ctrl-C and SIGTERM end a command: with one line and an exit status, whatever Python does when they arrive."""

import signal
import sys
import threading
from contextlib import contextmanager, suppress

STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM"}  # the exit status is 128 plus the signal
AGAIN_S = 0.05


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. Python ends a module by SIGINT, whatever its status, once `KeyboardInterrupt` itself has left an exec."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends whatever runs in the same way as Ctrl-C."""


@contextmanager
def signals_heard():
    """Let Ctrl-C and SIGTERM end a block, even if they arrive where Python drops exceptions.

    Python prints and drops what is raised while it cleans up an object or calls back from C. The signal is then sent
    once more, a moment later.

    Raises
    ------
    Interrupted, Terminated
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a command in the background ignores Ctrl-C
        signal.signal(signal.SIGINT, _raise)
    hook, dropped = sys.unraisablehook, []

    def heed(unraisable):
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        again = threading.Timer(AGAIN_S, _send, [_number_of(unraisable.exc_type)])
        again.daemon = True
        dropped.append((unraisable.exc_type, again))
        with suppress(RuntimeError):  # no thread can begin while Python itself ends
            again.start()

    sys.unraisablehook = heed
    try:
        yield
        for kind, _ in dropped:  # there was nothing left to end
            raise kind
    finally:
        sys.unraisablehook = hook
        for _, again in dropped:
            again.cancel()


def stopped(stop):
    """Say what stopped a command; a further signal ends it at once, without a message.

    Returns
    -------
    int
        Exit status.
    """
    number = _number_of(type(stop))
    for one in STOPPED if threading.current_thread() is threading.main_thread() else ():
        signal.signal(one, signal.SIG_DFL)
    print(f"{STOPPED[number]}; what is finished is kept, run the same command again to continue", file=sys.stderr)
    return 128 + number


def _raise(number, frame):
    raise Terminated if number == signal.SIGTERM else Interrupted


def _number_of(kind):
    return signal.SIGTERM if issubclass(kind, Terminated) else signal.SIGINT


def _send(number):
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)  # this also ends what the main thread waits for
    else:
        signal.raise_signal(number)
