#!/usr/bin/env bash
# A whole study, from a platform to a bundle that anybody can check: 48 drawn clips, two coders, six claims.
#
#   make study                       # or: examples/study/run.sh [OUT], from the checkout
#
# Each step is a command that you would type for videos of your own; what stands in for the world (a platform, coders)
# is python -m examples.study.NAME. Run again it goes on where it stopped; a step that is done takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=.  # where the collector of step 2 lies
here=examples/study out=${1:-out/study}
world=$out/world study=$out/results coding=$out/coding
step() { printf '\n== %s\n' "$*"; }

step "1 A platform has 24 accounts of two genres, with two clips each"
python -m examples.study.make_posts "$world"

step "2 Collect them (docs/collecting.md)"
python -m examples.study.platform "$world" tikval collect "$world/accounts.csv" @locked.door --out "$out/media" \
    --collector examples.study.platform:collector --sleep 0 --yes

step "3 What do the videos convey? The embedded default, scripts and values"
tikval analyze "$out/media" --accounts "$world/accounts.csv" --out "$study" --title "Food and sports"

step "4 Declare what you claim, before anybody has coded a video (docs/claims.md)"
[ -e "$study/claims/food-and-sports/declared.json" ] || tikval claim "$study" $here/claims.yaml --declare

step "5 Draw 40 of the 48 videos, and make the sheets of two coders (docs/annotating.md)"
[ -e "$out/coders.csv" ] || tikval sample "$study" --n 40 --by genre --to "$out/coders.csv"
tikval annotate sheet "$out/coders.csv" --study "$study" --coder ann --coder bob --out "$coding"

step "6 They code, each alone"
python -m examples.study.coders "$coding" ann bob

step "7 Merge: agreement, and a sheet for the third, who decides where the two differ"
tikval annotate merge "$coding" --third eve || [ $? = 1 ]  # 1: something is undecided
python -m examples.study.coders "$coding" eve
tikval annotate merge "$coding" --third eve

step "8 The same analysis with labels: scores, corrected rates"
tikval analyze "$out/media" --accounts "$world/accounts.csv" --out "$study" --title "Food and sports" \
    --annotations "$coding/merged/labels.csv"

step "9 What became of the claims, and of one that nobody had declared"
tikval claim "$study" $here/claims.yaml
tikval claim "$study" $here/afterthought.yaml

step "10 Hand over: a table, and a bundle whose every number can be computed again (docs/bundle.md)"
tikval attrition "$study"
tikval export "$study" "$out/values.xlsx"
tikval bundle "$study" "$out/study.zip"
tikval verify "$out/study.zip"

printf '\nthe report: %s\n' "$(ls -d "$study"/report-*/index.html)"
