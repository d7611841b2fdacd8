"""The replication study: what the workflow runs on top of the library :mod:`tempbalance`."""
