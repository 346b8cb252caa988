"""Labels judged again without their evidence, and without as much of other text -> DeletionRow.

python -m jobs.explain configs/explain.yaml
ray job submit --working-dir . -- python -m jobs.explain configs/explain.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("explain")
