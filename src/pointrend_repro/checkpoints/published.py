"""Where the published weights of a known model lie once they are fetched."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.catalogue import Catalogue


def published_weights(model: str, catalogue: Catalogue, data: Path) -> Path:
    """Return the file of a model's published weights; of several, those trained for longest.

    Args:
        model: a known model.
        catalogue: of the downloads, of which some say `model`, shorter trainings first.
        data: the folder of all downloads.

    Raises:
        UserError: none is there; with the command that fetches them, if one does.
    """
    names = _downloads_of(model, catalogue)
    if not names:
        raise UserError(
            f"{model}: `data fetch` knows no weights of this model; name yours: --weights"
        )
    for name in names:
        download = catalogue.downloads[name]
        path = data / download.into / download.files[0].places[0]
        if path.is_file():
            return path
    raise UserError(
        f"{model}: its published weights are not in {data}; `{fetch_command(model, catalogue)}` "
        "fetches them"
    )


def fetch_command(model: str, catalogue: Catalogue) -> str | None:
    """Return the command that fetches a model's weights, those trained for longest; None: none."""
    names = _downloads_of(model, catalogue)
    return f"pointrend-repro data fetch {names[0]}" if names else None


def _downloads_of(model: str, catalogue: Catalogue) -> list[str]:
    """Return the downloads of a model's weights, longer trainings first."""
    return [name for name, each in catalogue.downloads.items() if each.model == model][::-1]
