"""The command line, and the folders of the runs that it trains."""
