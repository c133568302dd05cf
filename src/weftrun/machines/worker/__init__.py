"""The machine of a Worker: Batches and Sandboxes of one host (FaaSBatch's window, DESIGN §8)."""

from weftrun.machines.worker.machine import WorkerMachine

__all__ = ["WorkerMachine"]
