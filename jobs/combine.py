"""Predictions of several systems -> predictions of them as one.

python -m jobs.combine configs/paper/ensemble.yaml
ray job submit --working-dir . -- python -m jobs.combine configs/paper/ensemble.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("combine")
