"""Where a file comes from: its URLs, or a site that requires a login."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch import cityscapes
from pointrend_repro.data.fetch.addresses import public_address
from pointrend_repro.data.fetch.asking import OneStepSession
from pointrend_repro.data.fetch.jobs import Job


class Sessions:
    """Opens a download's session when it is first needed: most runs need none."""

    def __init__(self) -> None:
        self._session: OneStepSession | None = None

    def sources(self, job: Job) -> tuple[OneStepSession, list[str]]:
        """Return a session and the URLs from which it can fetch a file.

        Raises:
            UserError: the login fails, or the account has no access to the file.
        """
        site = job.download.site
        if site is None or job.file.package is None:
            self._session = self._session or OneStepSession()
            return self._session, list(job.file.urls)
        self._session = self._session or cityscapes.login(site, require_credentials(job))
        return self._session, [cityscapes.package_url(site, self._session, job.file.package)]


def require_credentials(job: Job) -> cityscapes.Credentials:
    """Return the credentials that a file needs.

    Raises:
        UserError: there are none; the message says how to provide them, or do without.
    """
    found = cityscapes.find_credentials()
    if found is None:
        site = public_address(job.download.site or "")
        raise UserError(
            f"{site}: {job.file.name} needs your account there: set "
            f"{cityscapes.USERNAME_VARIABLE} and {cityscapes.PASSWORD_VARIABLE}; or {job.advice}"
        )
    return found
