"""mothello-interp: when and how does a model's representation become independent of the language it is written in?

The names of `__init__.pyi` are imported when they are first used, so that games and languages work without loading torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
