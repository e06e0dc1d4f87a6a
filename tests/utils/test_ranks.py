"""Which process of a run this is, from the variables that torchrun and SLURM are documented to set."""

import pytest

from src.utils.errors import UserError
from src.utils.ranks import join_run, launched, rank

TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "mine",
}
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "2",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "6",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "0",
}


@pytest.fixture
def environment(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)

    def put(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def test_a_process_of_its_own_is_the_first_and_shares_nothing(environment):
    assert (rank(), launched(), join_run(["seed=1"])) == (0, {}, ["seed=1"])


def test_torchruns_processes_share_a_directory_and_one_writes_the_config(environment):
    environment(TORCHRUN)
    assert rank() == 5 and launched() == {"devices": 4, "num_nodes": 2}
    directory = "hydra.run.dir=${paths.log_dir}/${task_name}/runs/torchrun_mine"
    assert join_run(["seed=1"]) == ["seed=1", "hydra.output_subdir=null", directory]
    environment({"RANK": "0"})
    assert join_run([]) == [directory]
    assert join_run(["hydra.run.dir=mine"]) == ["hydra.run.dir=mine"]


def test_torchrun_without_a_name_is_one_run_on_one_node_and_refused_on_two(environment):
    environment(TORCHRUN | {"TORCHELASTIC_RUN_ID": "none", "GROUP_WORLD_SIZE": "1"})
    first = join_run([])
    environment({"RANK": "1"})
    assert join_run([])[-1] == first[-1]
    environment({"GROUP_WORLD_SIZE": "2"})
    with pytest.raises(UserError, match="--rdzv-id=NAME"):
        join_run([])


def test_sruns_tasks_share_the_jobs_name(environment):
    environment(SRUN)
    assert rank() == 0 and launched() == {"devices": 3, "num_nodes": 2}
    assert join_run([]) == ["hydra.run.dir=${paths.log_dir}/${task_name}/runs/slurm_4711_2"]
    environment({"SLURM_PROCID": "4"})
    assert rank() == 4 and "hydra.output_subdir=null" in join_run([])


@pytest.mark.parametrize("changes", [{"SLURM_NTASKS": "1"}, {"SLURM_JOB_NAME": "bash"}])
def test_a_single_task_and_a_person_at_a_prompt_start_runs_of_their_own(environment, changes):
    environment(SRUN | changes)
    assert launched() == {} and join_run([]) == []


def test_what_lightning_starts_knows_its_place(environment):
    environment({"LOCAL_RANK": "1"})
    assert rank() == 1 and join_run(["hydra.run.dir=there"]) == ["hydra.run.dir=there"]
