"""Scripts or vectors of new videos -> values, by a system that jobs.finetune trained: one training, or all averaged.

python -m jobs.predict configs/paper/roberta_predict.yaml
ray job submit --working-dir . -- python -m jobs.predict configs/paper/roberta_predict.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("predict")
