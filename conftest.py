"""Examples in the documentation and in docstrings are tests."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser
from sybil.sybil import SybilCollection

pytest_collect_file = SybilCollection(
    [
        Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["docs/**/*.md", "docs/*.md", "README.md"]),
        Sybil(parsers=[DocTestParser()], patterns=["src/tradekit/**/*.py", "src/tradekit/*.py"]),
    ]
).pytest()
