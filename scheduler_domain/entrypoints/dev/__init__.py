"""`scheduler dev`: everything the product is, in one process tree on one machine, gone when it ends.

process_tree.py   starts servers, API and dispatcher side by side, watches them, stops them in order
child.py          the program that becomes the API or the dispatcher      child_process.py   its parent's side
environment.py    what is different from production                       data_folder.py     what is kept
announcement.py   what a person, or a program, is told when all is ready
demo/             sample schedules, and each of their deliveries as it arrives
"""
