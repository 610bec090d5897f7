from tests.adapters.conftest import real_slurm

__all__ = ["real_slurm"]
