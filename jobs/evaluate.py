"""Predictions and annotations -> scores with intervals; comparisons of systems and scores by genre beside them.

python -m jobs.evaluate configs/demo/scores.yaml
ray job submit --working-dir . -- python -m jobs.evaluate configs/demo/scores.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("evaluate")
