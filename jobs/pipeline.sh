#!/usr/bin/env bash
# A whole study in order: videos -> scripts -> values -> scores -> a page; with EMBEDDINGS=1 vectors as well.
#
#   jobs/pipeline.sh configs/demo     # the sample clips
#   jobs/pipeline.sh configs/local    # the folder videos/
#   jobs/pipeline.sh configs/paper    # the paper's language models; needs GEMINI_API_KEY and a GPU
#
# With trained systems: tikval run configs/paper/report_all.yaml
#
# Every step takes up where it stopped; a finished one answers at once. On a cluster:
#   ray job submit --working-dir . -- jobs/pipeline.sh DIR    # a folder of configurations whose `out` all nodes see
set -euo pipefail
configs=${1:-configs/demo}
python=${PYTHON:-python}

"$python" -m jobs.catalog        "$configs/catalog.yaml"        # folder or manifest -> VideoRow, LabelRow
if [ -f "$configs/scripts.yaml" ]; then
    "$python" -m jobs.write_scripts "$configs/scripts.yaml"     # VideoRow  -> ScriptRow
fi
# every system that is scored: ScriptRow, or VideoRow where it is direct, -> PredictionRow
systems=$("$python" -c 'import sys, yaml; print(*yaml.safe_load(open(sys.argv[1]))["predictions"])' "$configs/scores.yaml")
for system in $systems; do
    "$python" -m jobs.extract_values "$system"
done
if [ "${EMBEDDINGS:-0}" = 1 ]; then  # needs VideoMAE and Wav2Vec2, by hub or folder
    "$python" -m jobs.embed      "$configs/embed.yaml"          # VideoRow  -> EmbeddingRow
fi
"$python" -m jobs.evaluate       "$configs/scores.yaml"         # PredictionRow, LabelRow -> ScoreRow
"$python" -m jobs.report         "$configs/report.yaml"         # all of it -> index.html
