"""``plastorch models [NAME]``."""

import tyro

from plastorch.cli.parse import parse


def models(arguments: list[str]) -> int:
    """Runs ``plastorch models [NAME]``."""

    def options(name: tyro.conf.Positional[str | None] = None) -> str | None:
        """Lists the trained networks in the package, or prints the model card of one.

        To load one in Python: SoftHebbNet.from_pretrained(NAME).

        Args:
            name: name of the network whose card is printed.
        """
        return name

    name = parse(options, "plastorch models", arguments)

    from plastorch.hebbian.pretrained import card_of, cards, weights_of

    if name is not None:
        print(card_of(name).text())
        return 0
    found = cards()
    for card in found.values():
        megabytes = weights_of(card.name).stat().st_size / 1e6
        accuracy = f"{card.accuracies['test_accuracy']:.2%}"
        print(f"{card.name}  {card.data}, {accuracy} right, {megabytes:.1f} MB, seed {card.seed}")
        print(f"    {card.command}")
    if not found:
        print("this version of the package has no trained network")
    return 0
