"""A cheap system's predictions -> predictions, some of them by a strong system.

python -m jobs.cascade configs/cascade/cascade.yaml
ray job submit --working-dir . -- python -m jobs.cascade configs/cascade/cascade.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("cascade")
