#!/usr/bin/env bash
# The README's section "On a cluster" followed to the letter, at smoke scale, on a loopback Slurm.
#
# Installs slurm-wlm and munge when it can; says so and exits with 77 when it cannot. One training is killed on
# the way, so that a retry from a checkpoint with more memory and time is seen too.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d /tmp/tempbalance-slurm-XXXXXX)
chmod 755 "$WORK" # munged runs as another user
trap 'bash "$ROOT/tests/slurm/cluster.sh" stop "$WORK/cluster"; rm -rf "$WORK"' EXIT

bash "$ROOT/tests/slurm/cluster.sh" start "$WORK/cluster" || {
    code=$?
    [ $code -ne 77 ] || echo "SKIPPED: the workflow was not tried on Slurm" >&2
    exit $code
}

# A copy, so that the checkout's own results stay as they are.
mkdir "$WORK/checkout"
cd "$ROOT"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -C "$WORK/checkout" -xf -
cd "$WORK/checkout"

# What the profile tells a user of a cluster without accounting to add, and no 40 s wait for a first look.
printf '%s\n' "slurm-status-command: squeue" "slurm-init-seconds-before-status-checks: 2" >>profiles/slurm/profile.yaml

# A `replication` that kills one training (see there).
mkdir "$WORK/bin"
sed "s|@REAL@|$(command -v replication)|; s|@WORK@|$WORK|" "$ROOT/tests/slurm/killing-replication.sh" >"$WORK/bin/replication"
chmod +x "$WORK/bin/replication"
export PATH="$WORK/bin:$PATH"

commands=$(sed -n '/^### On a cluster/,/^```$/p' README.md | sed -n '/^```sh$/,/^```$/p' | grep -v '^```')
commands=${commands//scale=paper/scale=smoke}
grep -q -- "--workflow-profile profiles/slurm" <<<"$commands" || {
    echo "README.md has no commands under 'On a cluster'" >&2
    exit 1
}
echo "$commands"
SECONDS=0
timeout 1500 bash -euo pipefail -c "$commands" 2>&1 | tee "$WORK/snakemake.txt"
echo "the smoke pipeline took ${SECONDS} s on Slurm"
scontrol --oneliner show jobs >"$WORK/jobs.txt"
python "$ROOT/tests/slurm/check.py" "$WORK"
bash -euo pipefail -c "$commands" 2>&1 | tee "$WORK/again.txt"
grep -q "Nothing to be done" "$WORK/again.txt"
echo "OK: the workflow ran on Slurm"
