# Which runs share a training job, and what such a job reads and writes.


def is_begun(id):
    return any(Path(path, "metrics.json").exists() for path in PATHS[id].values())


def training_jobs():
    """Every kind of training job, (family, seeds) -> ids of the runs it trains; seeds None: one run per job.

    A job on a cluster plans again, while files of runs come and go. So it does not look at files, and puts each id into
    every kind in which the main process may have submitted it.
    """
    size = CONFIG.runs_per_job or max(map(len, PATHS.values()))
    jobs = {(run.family, None): [] for run in SPECS.values()}
    for id, paths in PATHS.items():
        family, seeds = SPECS[id].family, list(paths)
        shared = size > 1 and len(seeds) > 1 and not (MAIN and is_begun(id))
        if not (shared and MAIN):
            jobs[family, None].append(id)
        if shared:
            for start in range(0, len(seeds), size):
                some = tuple(seeds[start : start + size])
                jobs.setdefault((family, some), []).append(id)
    return {kind: ids for kind, ids in jobs.items() if ids}


def ids_of(kind, jobs):
    """A wildcard constraint: the ids of one kind of training job, none of them a pretraining's.

    For a kind with most of its family's ids, the constraint excludes the others, because a list of thousands is slow to
    match.
    """
    others = {
        id for other, ids in jobs.items() if other[0] == kind[0] for id in ids
    }.difference(jobs[kind]) | set(PRETRAININGS)
    if len(jobs[kind]) <= len(others):
        return one_of(jobs[kind])
    return f"(?!(?:{one_of(others)})/)[0-9a-f]+"


# What every training writes.
OUTPUTS = [
    "metrics.json",
    "history.csv",
    "spectra.csv",
    "layers.csv",
    "eigenvalues.npz",
]
if CONFIG.keep_models:
    OUTPUTS.append("model.safetensors")


def training_inputs(family):
    subset = f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json"
    if family == "sciml":
        return {
            "data": PDE_DATA,
            "subset": subset,
            "weights": pretrained_weights,
            "code": own_code,
        }
    return {"data": TEXT_DATA, "tokens": TOKENS, "subset": subset}


def training_outputs(family, seeds):
    """Files of the runs with these seeds; operators also write rollouts of a few test samples, for the figures."""
    names = [*OUTPUTS, "predictions.npz"] if family == "sciml" else OUTPUTS
    return {
        name.partition(".")[0]: [
            f"{CELL}/seed={seed}/{name}" for seed in seeds or ["{seed}"]
        ]
        for name in names
    }


def joined(seeds, one="{seed}"):
    return ",".join(map(str, seeds or [one]))
