# Tables: the records of runs, one row per run, and the paper's tables made from them.


rule collect:
    input:
        records=lambda wildcards: records(wildcards.experiment),
        layers=lambda wildcards: shown_files(wildcards.experiment, "layers.csv"),
        history=lambda wildcards: shown_files(wildcards.experiment, "history.csv"),
        trivial=lambda wildcards: trivial_files(wildcards.experiment),
    output:
        runs=f"{RESULTS}/{{experiment}}/runs.csv",
        trials=f"{RESULTS}/{{experiment}}/trials.csv",
        history=f"{RESULTS}/{{experiment}}/history.csv",
    log:
        f"{LOGS}/collect/{{experiment}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("collect"),
    params:
        # The script reads the configuration itself. With this parameter, it runs again if a title or stand-in text changes.
        selection=lambda wildcards: GRID.fingerprint(wildcards.experiment),
        root=str(ROOT),
        results=results_folder,
    message:
        "Collect the runs of {wildcards.experiment}"
    script:
        "../scripts/collect.py"


rule table:
    input:
        runs=lambda wildcards: tables_of(wildcards.table, "runs"),
        published=PUBLISHED,
    output:
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/artifact.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
        html=f"{RESULTS}/tables/{{table}}.html",
    log:
        f"{LOGS}/table/{{table}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("table"),
    params:
        artifact=artifact,
        described=described,
    message:
        "Make {wildcards.table}"
    script:
        "../scripts/table.py"


rule verdicts:
    input:
        runs=collected("runs"),
        published=PUBLISHED,
    output:
        csv=report(
            f"{RESULTS}/tables/verdicts.csv",
            caption="../report/verdicts.rst",
            category="Verdicts",
            labels={"table": "verdicts"},
        ),
        md=f"{RESULTS}/tables/verdicts.md",
        tex=f"{RESULTS}/tables/verdicts.tex",
        gains=f"{RESULTS}/tables/gains.csv",
        measured=f"{RESULTS}/tables/measured.csv",
        estimates=f"{RESULTS}/tables/estimates.csv",
    log:
        f"{LOGS}/verdicts.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("verdicts"),
    params:
        artifacts=[
            one.plain() for one in (*PLAN.figures.values(), *PLAN.tables.values())
        ],
    message:
        "Judge the paper's claims"
    script:
        "../scripts/verdicts.py"
