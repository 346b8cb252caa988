"""Videos, annotations and accounts -> catalog.

python -m jobs.catalog configs/demo/catalog.yaml
ray job submit --working-dir . -- python -m jobs.catalog configs/demo/catalog.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("catalog")
