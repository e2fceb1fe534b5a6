"""The sites that the pipeline serves, with their dispensers, as Kafka holds them. Pure."""

import msgspec
from msgspec import Struct

from models.contract.codec import decode
from models.contract.messages import Revision
from models.contract.site_records import Headers, SiteRecords
from models.contract.topics import Name
from models.ledger.rules.policy import Sites, SiteSpec

__all__ = ["RegisteredSite", "Registry"]


class RegisteredSite(Struct, frozen=True, kw_only=True):
    """A record of `fairroll.sites`, which the decider writes for every change of a site."""

    site: Name
    revision: Revision
    spec: SiteSpec


_registered: msgspec.json.Decoder[RegisteredSite] = msgspec.json.Decoder(RegisteredSite)


class Registry(SiteRecords[RegisteredSite]):
    """The newest record of each site."""

    def __init__(self) -> None:
        super().__init__(lambda value: decode(_registered, value))
        self.present = Sites(sites={})
        """the sites that are served now; it changes with each record"""

    def take(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> str | None:
        """Take a record, as SiteRecords does."""
        site = super().take(key, value, headers)
        if site is not None:
            found = self[site]
            if found:
                self.present.sites[site] = found.spec
            else:
                self.present.sites.pop(site, None)
        return site
