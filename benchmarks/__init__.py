"""What `make bench` runs: each module measures one thing on servers of its own and yields results as plain records.

A benchmark is a function `run(full)`; which name belongs to which is listed in __main__.py. How each figure is obtained
is said in the module's first lines and in README.md beside it.
"""
