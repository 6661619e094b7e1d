"""Connections to Dask and Ray clusters, which run the calls of a study as their own tasks."""

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from glomfeat.core.cluster.worker import ClusterError, call, look
from glomfeat.core.progress import waiting_for

CONNECT_S, WORKERS_S, LOOK_S = 10, 60, 0.2
INSTALL = "install the same glomfeat on all machines, and look at the workers' logs"


@dataclass(frozen=True)
class Connection:
    """What a study asks of a cluster, of either kind."""

    submit: Callable  # ``submit(stage, *given)``: a future of ``call(*given)``; those of a stage begin in their order
    result: Callable  # ``result(future)``: what came of it
    died: tuple[type, ...]  # what `result` raises if workers were lost, so that it can be tried again
    cancel: Callable  # ``cancel(futures)``
    alive: Callable  # whether the cluster still answers
    missing: Callable  # the remedy if there is no worker, else nothing
    ask: Callable  # ``ask(run)``: what each worker says about itself, a list of `glomfeat.core.cluster.worker.Seen`


def awaited(missing):
    """Say what is waited for if there is no worker; empty if there is one."""
    remedy = missing()
    return remedy and f"waiting for workers: {remedy}"


def _wait_for_workers(missing, where):
    until = time.monotonic() + WORKERS_S
    with waiting_for(lambda: awaited(missing)):
        while remedy := missing():
            if time.monotonic() > until:
                raise ClusterError(f"{where} has no worker after {WORKERS_S} s: {remedy}")
            time.sleep(LOOK_S)


@contextlib.contextmanager
def to_dask(address):
    """Connect to a Dask cluster.

    Parameters
    ----------
    address : str or None
        Address of its scheduler, or the path of a scheduler file.

    Yields
    ------
    Connection

    Raises
    ------
    ClusterError
        The message gives the remedy.
    """
    try:
        from distributed import CancelledError, Client, Future, KilledWorker
    except ImportError:
        raise ClusterError('--backend dask needs the package distributed: pip install "glomfeat[dask]"') from None
    if address is None:
        raise ClusterError(
            "--backend dask needs --scheduler: the address that `dask scheduler` says, such as tcp://HOST:8786, or the "
            "file that its --scheduler-file names"
        )
    where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        client = Client(**where, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, and name the address "
            "that it says with --scheduler"
        ) from None

    def submit(stage, *given):
        # tasks of one group wait at the scheduler until a worker is free, instead of being dealt to workers beforehand
        return client.submit(call, *given, key=(f"glomfeat-{stage}", uuid.uuid4().hex), pure=False)

    def alive():
        return client.status == "running"

    def missing():
        with contextlib.suppress(OSError):  # the scheduler has gone, which `alive` reports
            return "" if client.nthreads() else f"start some with `dask worker {address} --nworkers 4 --nthreads 1`"

    def ask(run):
        found = client.run(look, run, on_error="return")
        for worker, error in found.items():
            if isinstance(error, BaseException):
                raise ClusterError(f"the worker {worker} cannot run glomfeat ({error}): {INSTALL}") from error
        return list(found.values())

    with client:
        _wait_for_workers(missing, f"the scheduler at {address}")
        try:
            yield Connection(submit, Future.result, (CancelledError, KilledWorker), client.cancel, alive, missing, ask)
        finally:
            if not alive():  # else Dask would show a traceback beside the message
                logging.getLogger("distributed.client").setLevel(logging.CRITICAL)


def share_of_gpu(nodes):
    """The share of a GPU for each one-core call on Ray, small enough that all cores can be used.

    Parameters
    ----------
    nodes : list of dict
        The ``CPU`` and ``GPU`` of each.

    Returns
    -------
    float
        0 if some have no GPU.

    Examples
    --------
    >>> share_of_gpu([{"CPU": 8.0, "GPU": 3.0}, {"CPU": 2.0, "GPU": 1.0}]), share_of_gpu([{"CPU": 8.0}])
    (0.333..., 0.0)
    """
    if not all(node.get("GPU") for node in nodes):
        return 0.0
    return 1 / max(math.ceil(node["CPU"] / node["GPU"]) for node in nodes)


@contextlib.contextmanager
def to_ray(address):
    """Connect to a Ray cluster; parameters, yields and raises as for `to_dask`."""
    try:
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayTaskError, WorkerCrashedError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode
    except ImportError:
        raise ClusterError('--backend ray needs the package ray: pip install "glomfeat[ray]"') from None
    began = not ray.is_initialized()
    if began:
        try:
            with waiting_for(lambda: f"waiting for a Ray cluster at {address or 'auto'}"):
                ray.init(address or "auto", log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"no Ray cluster answers at {address or 'auto'} ({error}): start one with `ray start --head`, name the "
                "address that it says with --scheduler, and if it asks for a token, set that up here too"
            ) from None

    def cores():
        """How many cores each node has, by the node's name."""
        found = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}
        return {name: cpus for name, cpus in found.items() if cpus}

    def missing():
        return "" if cores() else "start some with `ray start --address HOST:6379`, of a core or more each"

    def submit(stage, *given):
        task = remote.remote(*given)
        future = task.future()
        future.task = task
        return future

    def result(future):
        try:
            return future.result()
        except RayTaskError as error:
            raise error.cause from error

    def cancel(futures):
        for future in futures:
            ray.cancel(future.task)

    def ask(run):
        there = cores()
        at = [OnNode(name, soft=False) for name in there]
        try:
            seen = ray.get([ray.remote(num_cpus=0, scheduling_strategy=node)(look).remote(run) for node in at])
        except (RayTaskError, *died) as error:
            raise ClusterError(f"the workers of Ray cannot run glomfeat ({error}): {INSTALL}") from error
        return [one for one, cpus in zip(seen, there.values(), strict=True) for _ in range(cpus)]

    try:
        _wait_for_workers(missing, "the Ray cluster")
        share = share_of_gpu([node["Resources"] for node in ray.nodes() if node["NodeID"] in cores()])
        # without max_calls Ray would start a new process for each call that has a share of a GPU
        remote = ray.remote(max_calls=0, max_retries=1, num_cpus=1, num_gpus=share)(call)
        died = WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError
        yield Connection(submit, result, died, cancel, ray.is_initialized, missing, ask)
    finally:
        if began:
            ray.shutdown()
