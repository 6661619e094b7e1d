"""Connections to Dask and Ray clusters, as joblib's backends of which each call is known to end."""

import contextlib
import math
from dataclasses import dataclass

from joblib import parallel_config

from glomfeat.core.cluster.worker import ClusterError, look
from glomfeat.core.workers import Call

CONNECT_S, WORKERS_S = 10, 60
INSTALL = "install the same glomfeat on all machines, and look into the workers' logs"


@dataclass(frozen=True)
class Broken:
    """Stands for the result of a call that has none.

    Attributes
    ----------
    error : BaseException
    died : bool
        Whether workers were lost, so that it can be tried again.
    """

    error: BaseException
    died: bool


def share_of_gpu(nodes):
    """The part of a GPU for each worker of Ray that has one core, so that all find room.

    Parameters
    ----------
    nodes : list of dict
        What each has: ``CPU`` and ``GPU``.

    Returns
    -------
    float
        0 where some have no GPU.

    Examples
    --------
    >>> share_of_gpu([{"CPU": 8.0, "GPU": 3.0}, {"CPU": 2.0, "GPU": 1.0}]), share_of_gpu([{"CPU": 8.0}])
    (0.333..., 0.0)
    """
    if not all(node.get("GPU") for node in nodes):
        return 0.0
    return 1 / max(math.ceil(node["CPU"] / node["GPU"]) for node in nodes)


def _telling(backend, deaths):
    """Have a backend of joblib's give `Broken` for a call that has no result.

    Its own answer would end all calls; Dask's is never given, and would be waited for without end.
    """
    submit = backend.submit

    def submit_and_tell(func, callback=None):
        def broken(error):
            callback([(func.items[0][1][2], Broken(error, isinstance(error, deaths)), 0, False)])

        job = submit(func, lambda out: broken(out) if isinstance(out, BaseException) else callback(out))
        if hasattr(job, "add_done_callback"):
            job.add_done_callback(lambda ended: broken(ended.exception()) if ended.exception() else None)
        return job

    backend.submit = submit_and_tell
    return backend


@contextlib.contextmanager
def to_dask(address):
    """Connect to a Dask cluster.

    Parameters
    ----------
    address : str or None
        Of its scheduler, or the path of a scheduler file.

    Yields
    ------
    backend : joblib.parallel.ParallelBackendBase
        Gives `Broken` for calls that have no result.
    alive : callable
        Whether the cluster still answers.
    ask : callable
        ``ask(cluster)`` gives what each worker says of itself, a list of `glomfeat.core.cluster.worker.Seen`.

    Raises
    ------
    ClusterError
        With the remedy.
    """
    try:
        from distributed import CancelledError, Client, KilledWorker
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
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no worker after {WORKERS_S} s: start some with `dask worker {address} "
                "--nworkers 4 --nthreads 1`"
            ) from None
        with parallel_config(backend="dask", client=client) as config:
            backend = _telling(config["backend"], (CancelledError, KilledWorker))
        # with one worker joblib would work in this process, and stop where there is none for a while
        backend.effective_n_jobs = lambda n_jobs: max(2, len(client.ncores()))

        def ask(cluster):
            found = client.run(look, cluster.run, on_error="return")
            for where, error in found.items():
                if isinstance(error, BaseException):
                    raise ClusterError(f"the worker {where} cannot run glomfeat ({error}): {INSTALL}") from error
            return list(found.values())

        yield backend, lambda: client.status == "running", ask


@contextlib.contextmanager
def to_ray(address):
    """Connect to a Ray cluster; parameters, yields and raises as `to_dask`.

    An actor of Ray's is started on each core. Calls are dealt to them in turn, and not to whichever is free.
    """
    try:
        import ray
        from ray.exceptions import RayActorError, WorkerCrashedError
        from ray.util.joblib import register_ray
    except ImportError:
        raise ClusterError('--backend ray needs the package ray: pip install "glomfeat[ray]"') from None
    began = not ray.is_initialized()
    if began:
        try:
            ray.init(address or "auto", log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"no Ray cluster answers at {address or 'auto'} ({error}): start one with `ray start --head`, name the "
                "address that it says with --scheduler, and where it asks for a token, set that up here too"
            ) from None
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if sum(int(node.get("CPU", 0)) for node in nodes) < 2:
            raise ClusterError("the Ray cluster has one core: there is nothing to share out, take --backend local")
        register_ray()
        actor = {"num_cpus": 1, "num_gpus": share_of_gpu(nodes), "max_restarts": -1}
        with parallel_config(backend="ray", ray_remote_args=actor) as config:
            backend = _telling(config["backend"], (RayActorError, WorkerCrashedError))
        backend.supports_return_generator = True  # joblib's answer is about the pool whose place Ray's takes

        def ask(cluster):
            calls = [Call(cluster.run, 0)] * backend.effective_n_jobs(-1)  # actors are given calls in turn
            found = list(cluster.each(look, calls, threads=1))
            if found[0].lost:
                raise ClusterError(f"the workers of Ray end before they answer: {INSTALL}")
            return [ended.found for ended in found]

        yield backend, ray.is_initialized, ask
    finally:
        if began:
            ray.shutdown()
