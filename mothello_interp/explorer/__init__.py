"""The board explorer: play a game, and see what a model predicts, what it believes and what an edit of it does.

`Explorer` is the widget; `view` computes all that it shows from a `State` and a `Reader`, without a browser; `write_page`
makes one HTML file of it, as `python -m mothello_interp.explorer export` does.
"""

from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.export import write_page
from mothello_interp.explorer.reader import Reader
from mothello_interp.explorer.state import State
from mothello_interp.explorer.view import View, view
from mothello_interp.explorer.widget import Explorer

__all__ = ["Edit", "Explorer", "Flip", "Patch", "Reader", "State", "View", "view", "write_page"]
