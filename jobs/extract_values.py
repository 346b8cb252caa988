"""Scripts -> values (the second of the two steps), or videos -> values in one (direct extraction).

python -m jobs.extract_values configs/demo/predictions.yaml
ray job submit --working-dir . -- python -m jobs.extract_values configs/demo/predictions.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("extract_values")
