"""Whole programs, composed for the command line: replay, backtest, live run, demo, and the page that goes with them."""
