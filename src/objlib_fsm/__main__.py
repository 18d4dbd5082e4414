"""``python -m objlib_fsm`` is the command ``objlib-fsm``."""

from objlib_fsm.cli.main import main

main()
