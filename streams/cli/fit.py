"""`headrace fit`: the logistic model, fitted and judged on recorded data."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("fit")
@click.option("--data", type=FOLDER, envvar="HEADRACE_DATA", required=True, help="Folder with the recorded data.")
@click.option("--out", type=FOLDER, default=Path("fitted"), show_default=True, help="Folder to keep models in.")
@click.option("--name", default="shop-logistic", show_default=True, help="The model's name.")
@click.option("--version", default="1", show_default=True, help="Its version: a folder under the name.")
@click.option("--sharp", is_flag=True, help="Let lines bend: for data of your own shop.")
@click.option("--figure", type=FILE, help="Also write what was measured as a figure, such as docs/figures/NAME.json.")
def command(data: Path, out: Path, name: str, version: str, sharp: bool, figure: Path | None) -> int:
    """Fit the logistic model on recorded data.

    Reads the Fraud Detection Handbook's transactions, learns on one week, judges on the week after the label delay, and
    writes OUT/NAME/VERSION with model.json and manifest.json. Exit code 1: it is no better than the amount alone.
    """
    from features.shop import shop_definitions
    from streams.cli import DOES_NOT, HOLDS, CouldNotRun
    from training import report
    from training.fit import fit_handbook
    from training.handbook import NoDataError

    try:
        fitted = fit_handbook(data, shop_definitions(), sharp=sharp)
    except NoDataError as error:
        raise CouldNotRun(str(error)) from error
    folder = report.save(fitted, out, name=name, version=version)
    click.echo(report.table(fitted))
    click.echo(f"written to {folder}")
    if figure is not None:
        report.write_figure(fitted, figure, command=f"headrace fit --data DIR{' --sharp' if sharp else ''}")
        click.echo(f"figure written to {figure}")
    return HOLDS if fitted.beats_gate else DOES_NOT
