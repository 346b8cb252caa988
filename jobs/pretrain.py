"""Scripts or texts -> encoders that went on guessing their masked tokens, for jobs/finetune.py to begin with.

python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml
python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml --dry-run      # who reads what, model and memory
ray job submit --working-dir . -- python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("pretrain")
