"""Scripts against what was heard and read in the same videos -> FaithfulnessRow, and sheets for two raters.

python -m jobs.faithfulness configs/faithfulness.yaml
ray job submit --working-dir . -- python -m jobs.faithfulness configs/faithfulness.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("faithfulness")
