"""Answers that were recorded elsewhere, read from a file in the place of a model. No torch, no network.

``rows`` checks what one row says, ``opening`` finds the rows of a file, ``index`` finds a row by its key, ``model``
answers with them, ``readers`` reads the logs of other tools, and ``ids`` names requests.
"""
