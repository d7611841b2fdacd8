"""PDE data: solvers, simulated data sets, and files in PDEBench's layout."""
