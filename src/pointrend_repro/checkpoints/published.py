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
    names = [name for name, each in catalogue.downloads.items() if each.model == model][::-1]
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
        f"{model}: its published weights are not in {data}; `pointrend-repro data fetch "
        f"{names[0]}` fetches them"
    )
