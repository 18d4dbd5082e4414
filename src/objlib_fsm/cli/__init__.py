"""The command ``objlib-fsm``: one file per command, and what they share."""
