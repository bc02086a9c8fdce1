"""What is told about a figure beside it, in `<figure>.json`: its text and its origin."""

from pydantic import BaseModel, ConfigDict

from pointrend_repro.config.figure_plan import FigureName


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ModelUsed(_Frozen):
    """One trained model. `file` is relative to `results/<preset>/`; the rest tells its training.

    `model_digest` is that of the file (`digests.content_digest`); older records do not have it.
    """

    file: str
    model_digest: str | None = None
    settings_digest: str
    git_commit: str | None
    code_digest: str


class FigureRecord(_Frozen):
    """A figure in words, and what it was made from.

    Attributes:
        title: which figure of the paper it is.
        caption: what it shows, and how that was chosen.
        alternative_text: what the figure shows, in words, for readers who cannot see it.
        image_ids: of the validation images, in the order in which they are shown.
        git_commit: of the code that drew it, and `code_digest` likewise.
    """

    preset: str
    figure: FigureName
    title: str
    caption: str
    alternative_text: str
    warning: str | None
    dataset: str
    image_ids: list[int]
    models: list[ModelUsed]
    command: str
    git_commit: str | None
    code_digest: str
