"""The ``rules`` commands: what rules may be made of, and whether a text is one. No data directory is needed."""

from typing import Annotated

import typer

rules = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Read rules: texts that say when to buy and sell.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


@rules.command("schema")
def schema() -> None:
    """Print the JSON schema of a rule as data."""
    from tradekit.domain import rules_tree
    from tradekit_cli.output import result_json

    result_json(rules_tree.schema())


@rules.command("indicators")
def indicators(as_json: Json = False) -> None:
    """List every indicator a rule may use, with its numbers."""
    from tradekit.domain.indicators import INDICATORS, signature
    from tradekit_cli.output import result, result_json, table

    if as_json:
        result_json(
            [
                {"name": each.name, "signature": signature(each), "title": each.title, "library": each.library}
                for each in INDICATORS.values()
            ]
        )
        return
    rows = [[signature(each), each.title, "indicators" if each.library else "-"] for each in INDICATORS.values()]
    result(table(["indicator", "what it is", "extra"], rows))


@rules.command("check")
def check(text: Annotated[str, typer.Argument(metavar="RULE", help="The rule, as one argument")], as_json: Json = False) -> None:
    """Read a rule: print its canonical text and what it means, or point at what is wrong."""
    from tradekit.domain.rules import rule_source
    from tradekit.domain.rules_print import rule_text, rule_words
    from tradekit.domain.rules_text import parse_rule
    from tradekit.domain.rules_tree import size_of
    from tradekit_cli.output import result, result_json

    rule = parse_rule(text)
    canonical, size = rule_text(rule), size_of(rule)
    if as_json:
        result_json({"text": canonical, "source": rule_source(canonical), "rule": rule, "size": size})
        return
    result(f"{canonical}\n\n{rule_words(rule)}\n\n{size.nodes} parts, looking at {size.cost} bars")
