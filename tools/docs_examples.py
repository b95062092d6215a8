"""Extension of griffe, which reads docstrings for the site: examples are shown as code."""

import griffe


class ExamplesAsCode(griffe.Extension):
    """Gives the section `Example:`, as docstrings here have it, the name that griffe knows."""

    def on_object(self, *, obj, **_):
        """Is called with each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
