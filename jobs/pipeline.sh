#!/usr/bin/env bash
# A whole study in order, from a folder of videos to a site: every line is one arrow of the data flow.
#
#   jobs/pipeline.sh configs/demo     # the laptop twin: 17 sample clips; `make demo` takes 1 min 17 s on two cores
#   jobs/pipeline.sh configs/local    # the folder videos/
#   jobs/pipeline.sh configs/paper    # the paper's nine systems; needs GEMINI_API_KEY and a GPU
#
# Sizes at the right are the paper's (885 videos, 91 accounts, some 30 s each); its models were not run here, so hours stand
# only where a configured limit sets them. Every step goes on where it stopped; a finished one returns immediately.
# On a cluster: ray job submit --working-dir . -- jobs/pipeline.sh DIR    # configurations whose `out` all nodes see
set -euo pipefail
configs=${1:-configs/demo}
python=${PYTHON:-python}

job() {  # jobs.NAME over the study's configurations of these names; one that the study does not have is left out
    local name=$1 file files=()
    for file in "${@:2}"; do [ ! -f "$configs/$file.yaml" ] || files+=("$configs/$file.yaml"); done
    [ ${#files[@]} = 0 ] || "$python" -m "jobs.$name" "${files[@]}"
}

job catalog        catalog                     # folder or manifest -> VideoRow, LabelRow        885 rows, seconds
job write_scripts  scripts                     # VideoRow -> ScriptRow                           885 calls; 150 a minute at most: 6 min

# the systems of scores.yaml, which are asked and not trained: ScriptRow, or VideoRow where direct, -> PredictionRow
systems=$("$python" -c 'import sys, yaml; print(*yaml.safe_load(open(sys.argv[1]))["predictions"])' "$configs/scores.yaml")
for system in $systems; do
    "$python" -m jobs.extract_values "$system"     # Gemini: 885 calls, 6 min or more; Mistral 7B on vLLM: 885 prompts
done
if [ "${EMBEDDINGS:-0}" = 1 ]; then            # needs VideoMAE and Wav2Vec2, by hub or folder
    job embed      embed                       # VideoRow -> EmbeddingRow                        885 vectors
fi

if [ -f "$configs/scores_all.yaml" ]; then     # a study that trains
    # VideoRow -> EmbeddingRow: the vectors that F-VideoMAE's head learns from; out as in its configuration
    "$python" -m jobs.embed configs/embed.yaml "videos=$configs/catalog.yaml" "out=out/$(basename "$configs")"
    job pretrain   roberta_pretrain deberta_pretrain   # ScriptRow -> encoders                   2 encoders, 3 epochs
    # ScriptRow or EmbeddingRow, LabelRow -> PredictionRow of held-out rows; all folds side by side
    job finetune   roberta deberta longformer roberta_pt deberta_pt f_videomae   # 18 trainings: 355 M, 887 M, 149 M weights
    job evaluate   scores_all                  # PredictionRow, LabelRow -> ScoreRow             nine systems
    job report     report_all                  # all of it -> index.html
else
    job evaluate   scores                      # PredictionRow, LabelRow -> ScoreRow
    job report     report                      # all of it -> index.html
fi
