"""Scripts and labels -> heads on frozen sentence vectors, and their predictions.

python -m jobs.tune configs/local/tune.yaml
ray job submit --working-dir . -- python -m jobs.tune configs/local/tune.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("tune")
