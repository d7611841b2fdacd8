# Model balancing in low-data training: from data to the paper's figures.
#
#   snakemake --cores 2                      everything that config.yaml asks for
#   snakemake --cores 2 figures/fig4_cfd_ratio.pdf
#   snakemake -n --config scale=paper        plan the paper's grid
#
# Rules deal with files and resources; the packages in workflow/ do the science (docs/layout.md).

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/hooks.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        final_outputs(),
    message:
        "All figures and tables and the report are finished."
